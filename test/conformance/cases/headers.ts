// Headers that could make a server see another request: Host, Connection, names that servers fold, and headers that
// re-route.
import { get, request } from '../../support/http/requests.ts';
import { delivered, gated, served, signatureLine, signed, type WireCase } from '../wire-case.ts';

const withHost = (...hosts: string[]) => request(['GET /open HTTP/1.1', ...hosts]);

const HOSTS: readonly WireCase[] = [
  gated('no Host', withHost()),
  gated('two Hosts', withHost('Host: a', 'Host: b')),
  gated('two equal Hosts', withHost('Host: a', 'Host: a')),
  ...['', 'a, b', 'a b', 'a/b', 'a%41', '"a"', 'a\xe9'].map((host) =>
    gated(`Host: ${JSON.stringify(host)}`, withHost(`Host: ${host}`)),
  ),
  ...['a:8080', '[::1]', '[::1]:80', '127.0.0.1', 'a_b', 'A.Example', 'xn--caf-dma.example'].map((host) =>
    served(`Host: ${host}`, withHost(`Host: ${host}`), 'GET /open', { lines: [`Host: ${host}`] }),
  ),
];

const CONNECTION: readonly WireCase[] = [
  ...['Host', 'Entrupy-Signature', 'close, Content-Length', 'keep-alive,,host'].map((names) =>
    gated(`Connection: ${names}`, signed('abc', { lines: [`Connection: ${names}`] })),
  ),
  gated(
    'a second Connection line that names the signature',
    signed('abc', { lines: ['Connection: keep-alive', 'Connection: entrupy-signature'] }),
  ),
  served(
    'headers that Connection names are dropped',
    get('/open', ['Connection: X-A, keep-alive', 'x-a: 1', 'X-B: 2']),
    'GET /open',
    { lines: ['Host: a', 'X-B: 2'] },
  ),
  served(
    'hop-by-hop headers are dropped, except TE: trailers',
    get('/open', ['Keep-Alive: timeout=9', 'Proxy-Connection: keep-alive', 'TE: trailers', 'Trailer: X-A', 'X-B: 2']),
    'GET /open',
    { lines: ['Host: a', 'TE: trailers', 'X-B: 2', 'Connection: TE'] },
  ),
  delivered(
    'hop-by-hop headers are dropped from a verified request too',
    signed('abc', { lines: ['TE: trailers', 'Connection: TE', 'Proxy-Connection: keep-alive'] }),
    { lines: ['Host: a', signatureLine('abc'), 'TE: trailers', 'Content-Length: 3', 'Connection: TE'] },
  ),
];

// Every name and spelling: test/unit/core/gate-rules.test.ts.
const REROUTING = ['SCRIPT_NAME: /open', 'X-Original-URL: /notify', '__proto__: 1', 'Entrupy_Signature: SHA256:x'];

const ALLOWED: readonly WireCase[] = [
  delivered('a re-routing header that the verified route allows', signed('abc', { lines: ['X-Original-URL: /x'] }), {
    on: 'allowing',
    lines: ['Host: a', signatureLine('abc'), 'X-Original-URL: /x', 'Content-Length: 3'],
  }),
  delivered('an underscore name that the verified route allows', signed('abc', { lines: ['X_Trace: 1'] }), {
    on: 'allowing',
  }),
  served('a re-routing header that the open route allows', get('/open', ['X-Forwarded-Prefix: /x']), 'GET /open', {
    on: 'allowing',
  }),
  served('an underscore name that the open route allows', get('/open', ['x_trace: 1']), 'GET /open', {
    on: 'allowing',
  }),
  gated('a re-routing header that only another route allows', get('/open', ['X-Original-URL: /x']), 'allowing'),
  gated(
    'a re-routing header that only the open route allows',
    signed('abc', { lines: ['X-Forwarded-Prefix: /x'] }),
    'allowing',
  ),
  gated(
    'one underscore name that is allowed and one that is not',
    get('/open', ['X_Trace: 1', 'X_Other: 1']),
    'allowing',
  ),
  gated('SCRIPT_NAME where others are allowed', get('/open', ['SCRIPT_NAME: /x']), 'allowing'),
  gated('an allowed header in another spelling', get('/open', ['X_Forwarded_Prefix: /x']), 'allowing'),
  served(
    'names with other odd characters',
    get('/open', ["X-!#$%&'*+.^`|~: 1", 'constructor: 2', 'toString: 3']),
    'GET /open',
    { lines: ['Host: a', "X-!#$%&'*+.^`|~: 1", 'constructor: 2', 'toString: 3'] },
  ),
];

export const HEADERS: readonly WireCase[] = [
  ...HOSTS,
  ...CONNECTION,
  ...REROUTING.map((header) => gated(`on a verified route: ${header}`, signed('abc', { lines: [header] }))),
  ...REROUTING.map((header) => gated(`on an open route: ${header}`, get('/open', [header]))),
  ...ALLOWED,
];
