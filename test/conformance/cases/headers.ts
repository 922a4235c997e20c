// Header lines by which a request could be taken for another one: Host, Connection, names that servers fold, headers
// that re-route, look-alikes of the signature, Expect and Upgrade.
import { forged, gated, get, request, row, signatureLine, signed, type WireCase } from '../wire-case.ts';

const withHost = (...hosts: string[]) => request(['GET /open HTTP/1.1', ...hosts]);

const HOSTS: readonly WireCase[] = [
  gated('no Host', withHost()),
  gated('two Hosts', withHost('Host: a', 'Host: b')),
  gated('two equal Hosts', withHost('Host: a', 'host: a')),
  ...[
    '',
    'a, b',
    'a b',
    'a/b',
    'u@a',
    'a?x',
    'a#x',
    'a\\b',
    'a%41',
    '"a"',
    'a;b',
    'a\xe9',
    'http://a',
    'a|b',
    '{a}',
    "a'b",
  ].map((host) => gated(`Host: ${JSON.stringify(host)}`, withHost(`Host: ${host}`))),
  ...['a:8080', '[::1]', '[::1]:80', '127.0.0.1', 'a_b', 'A.Example', 'xn--caf-dma.example'].map((host) =>
    row(`Host: ${host}`, withHost(`Host: ${host}`), {
      status: [200],
      upstream: ['GET /open'],
      lines: [`host: ${host}`],
    }),
  ),
];

const CONNECTION: readonly WireCase[] = [
  ...[
    'Host',
    'Content-Length',
    'content-type',
    'Content-Encoding',
    'Authorization',
    'COOKIE',
    'Entrupy-Signature',
    'X-Forwarded-For',
    'x-forwarded-proto',
    'close, Content-Length',
    'keep-alive,,host',
  ].map((names) => gated(`Connection: ${names}`, signed('abc', { lines: [`Connection: ${names}`] }))),
  gated(
    'a second Connection line that names the signature',
    signed('abc', { lines: ['Connection: keep-alive', 'Connection: entrupy-signature'] }),
  ),
  row('what Connection names goes', get('/open', ['Connection: X-A, keep-alive', 'x-a: 1', 'X-B: 2']), {
    status: [200],
    upstream: ['GET /open'],
    lines: ['host: a', 'X-B: 2'],
  }),
  row(
    'hop-by-hop lines go',
    get('/open', ['Keep-Alive: timeout=9', 'Proxy-Connection: keep-alive', 'TE: trailers', 'Trailer: X-A', 'X-B: 2']),
    {
      status: [200],
      upstream: ['GET /open'],
      lines: ['host: a', 'X-B: 2'],
    },
  ),
  row(
    'they go from a verified request, too',
    signed('abc', { lines: ['TE: trailers', 'Connection: TE', 'Proxy-Connection: keep-alive'] }),
    {
      status: [200],
      upstream: ['POST /notify abc'],
      lines: ['host: a', signatureLine('abc'), 'content-length: 3'],
    },
  ),
];

const REROUTING = [
  'SCRIPT_NAME: /open',
  'PATH_INFO: /notify',
  'X_Custom: 1',
  '__proto__: 1',
  'constructor_: 1',
  'Content_Type: a',
  'HTTP_HOST: b',
  '_: 1',
  'X-Original-URL: /notify',
  'x-original-url: /notify',
  'X-Rewrite-URL: /notify',
  'X-Forwarded-Prefix: /open',
  'X-HTTP-Method-Override: PUT',
  'X-Method-Override: PUT',
  'X_Original_URL: /notify',
  'Entrupy_Signature: SHA256:x',
  'ENTRUPY_SIGNATURE: x',
];

const ALLOWED: readonly WireCase[] = [
  row('a re-routing header that the verified route allows', signed('abc', { lines: ['X-Original-URL: /x'] }), {
    on: 'allowing',
    status: [200],
    upstream: ['POST /notify abc'],
    lines: ['host: a', signatureLine('abc'), 'X-Original-URL: /x', 'content-length: 3'],
  }),
  row('an underscore name that it allows', signed('abc', { lines: ['X_Trace: 1'] }), {
    on: 'allowing',
    status: [200],
    upstream: ['POST /notify abc'],
  }),
  row('a re-routing header that the open route allows', get('/open', ['X-Forwarded-Prefix: /x']), {
    on: 'allowing',
    status: [200],
    upstream: ['GET /open'],
  }),
  row('an underscore name that the open route allows', get('/open', ['x_trace: 1']), {
    on: 'allowing',
    status: [200],
    upstream: ['GET /open'],
  }),
  gated('one that only another route allows', get('/open', ['X-Original-URL: /x']), 'allowing'),
  gated('one that only the other route allows', signed('abc', { lines: ['X-Forwarded-Prefix: /x'] }), 'allowing'),
  gated('one allowed and one not', get('/open', ['X_Trace: 1', 'X_Other: 1']), 'allowing'),
  gated('SCRIPT_NAME where others are allowed', get('/open', ['SCRIPT_NAME: /x']), 'allowing'),
  row('names with other odd characters', get('/open', ["X-!#$%&'*+.^`|~: 1", 'constructor: 2', 'toString: 3']), {
    status: [200],
    upstream: ['GET /open'],
    lines: ['host: a', "X-!#$%&'*+.^`|~: 1", 'constructor: 2', 'toString: 3'],
  }),
];

const RIGHT = signatureLine('abc');
const post = (lines: readonly string[]) => forged('abc', { lines });

const SIGNATURES: readonly WireCase[] = [
  row('no signature', post([]), { status: [401], upstream: [] }),
  row('two equal signatures', post([RIGHT, RIGHT]), { status: [401], upstream: [] }),
  row('a wrong one, then the right one', post(['Entrupy-Signature: SHA256:x', RIGHT]), { status: [401], upstream: [] }),
  row('the right one, then an empty one', post([RIGHT, 'Entrupy-Signature:']), { status: [401], upstream: [] }),
  row('in two spellings', post([RIGHT, RIGHT.toLowerCase()]), { status: [401], upstream: [] }),
  row('a look-alike with a dot, alone', post([RIGHT.replace('Entrupy-', 'Entrupy.')]), { status: [401], upstream: [] }),
  row('the right one and a look-alike with a dot', post([RIGHT, 'entrupy.signature: x']), {
    status: [401],
    upstream: [],
  }),
  row('an empty look-alike', post([RIGHT, 'Entrupy.Signature:']), { status: [401], upstream: [] }),
  row('a look-alike on an open route', get('/open', ['Entrupy.Signature: x']), {
    status: [200],
    upstream: ['GET /open'],
  }),
  row('two signatures on an open route', get('/open', [RIGHT, RIGHT]), {
    status: [200],
    upstream: ['GET /open'],
    lines: ['host: a', RIGHT, RIGHT],
  }),
  row('no signature, reported', post([]), { on: 'report', status: [200], upstream: ['POST /notify abc'] }),
  row('two signatures, reported', post([RIGHT, RIGHT]), {
    on: 'report',
    status: [200],
    upstream: ['POST /notify abc'],
  }),
  row('another method, reported', request(['PUT /notify HTTP/1.1', 'Host: a', 'Content-Length: 1'], 'x'), {
    on: 'report',
    status: [200],
    upstream: ['PUT /notify x'],
  }),
  gated('an underscore look-alike, reported', post(['Entrupy_Signature: x']), 'report'),
  gated('bad framing, reported', post(['Content-Length: 3']), 'report'),
];

const EXPECT: readonly WireCase[] = [
  row('Expect on a signed request', signed('abc', { lines: ['Expect: 100-continue'] }), {
    status: [200],
    informational: [100],
    upstream: ['POST /notify abc'],
    lines: ['host: a', RIGHT, 'content-length: 3'],
  }),
  row('Expect in another case', signed('abc', { lines: ['expect: 100-Continue'] }), {
    status: [200],
    informational: [100],
    upstream: ['POST /notify abc'],
  }),
  row(
    'Expect on an unsigned request: no 100',
    request(['POST /notify HTTP/1.1', 'Host: a', 'Expect: 100-continue', 'Content-Length: 3']),
    {
      status: [401],
      upstream: [],
      closes: true,
    },
  ),
  row('Expect before a body that is too large: no 100', signed('a'.repeat(17), { lines: ['Expect: 100-continue'] }), {
    on: 'small',
    status: [413],
    upstream: [],
    closes: true,
  }),
  gated(
    'Expect with bad framing: no 100',
    request(['POST /open HTTP/1.1', 'Host: a', 'Expect: 100-continue', 'Content-Length: 03']),
  ),
  gated('another expectation', signed('abc', { lines: ['Expect: 200-ok'] })),
  gated('two expectations', signed('abc', { lines: ['Expect: 100-continue, x'] })),
];

const upgrade = (protocol: string) => ['Connection: Upgrade', `Upgrade: ${protocol}`];
const handshake = ['Sec-WebSocket-Version: 13', 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=='];

const UPGRADES: readonly WireCase[] = [
  row('an upgrade on a signed request is an ordinary request', signed('abc', { lines: upgrade('websocket') }), {
    status: [200],
    upstream: ['POST /notify abc'],
    lines: ['host: a', RIGHT, 'content-length: 3'],
  }),
  row('an upgrade on an unsigned request', forged('abc', { lines: upgrade('websocket') }), {
    status: [401],
    upstream: [],
  }),
  row('an upgrade by GET on a verified route', get('/notify', [...upgrade('websocket'), ...handshake]), {
    status: [405],
    upstream: [],
  }),
  row(
    'an upgrade by GET on a verified route beside a WebSocket one',
    get('/notify', [...upgrade('websocket'), ...handshake]),
    { on: 'upgrading', status: [405], upstream: [] },
  ),
  row('an upgrade on an open route that allows none', get('/open', [...upgrade('websocket'), 'X-A: 1']), {
    status: [200],
    upstream: ['GET /open'],
    lines: ['host: a', 'X-A: 1'],
  }),
  row(
    'h2c on an open route',
    get('/open', ['Connection: Upgrade, HTTP2-Settings', 'Upgrade: h2c', 'HTTP2-Settings: AAMAAABkAAQAAP__']),
    {
      status: [200],
      upstream: ['GET /open'],
      lines: ['host: a'],
    },
  ),
  row('h2c where WebSocket is allowed', get('/ws', upgrade('h2c')), {
    on: 'upgrading',
    status: [200],
    upstream: ['GET /ws'],
    lines: ['host: a'],
  }),
  row('a list of protocols', get('/ws', upgrade('websocket, h2c')), {
    on: 'upgrading',
    status: [200],
    upstream: ['GET /ws'],
    lines: ['host: a'],
  }),
  row('an upgrade by POST where WebSocket is allowed', forged('abc', { target: '/ws', lines: upgrade('websocket') }), {
    on: 'upgrading',
    status: [200],
    upstream: ['POST /ws abc'],
  }),
  row('an upgrade with a body', `${get('/ws', [...upgrade('websocket'), 'Content-Length: 3'])}abc`, {
    on: 'upgrading',
    status: [200],
    upstream: ['GET /ws abc'],
  }),
  row('an upgrade on HTTP/1.0', get('/ws', upgrade('websocket')).replace('1.1', '1.0'), {
    on: 'upgrading',
    status: [200],
    upstream: ['GET /ws'],
    closes: true,
  }),
  gated('an upgrade of a bad target', get('/ws#x', [...upgrade('websocket'), ...handshake]), 'upgrading'),
];

export const HEADERS: readonly WireCase[] = [
  ...HOSTS,
  ...CONNECTION,
  ...REROUTING.map((header) => gated(`on a verified route: ${header}`, signed('abc', { lines: [header] }))),
  ...REROUTING.map((header) => gated(`on an open route: ${header}`, get('/open', [header]))),
  ...ALLOWED,
  ...SIGNATURES,
  ...EXPECT,
  ...UPGRADES,
];
