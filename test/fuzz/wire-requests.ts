// The starting points of the wire fuzzer: requests whose outcome is known as long as they are not mutated.
import { forged, signatureLine, signed } from '../conformance/wire-case.ts';
import { get, inChunks, request } from '../support/http/requests.ts';
import { handshake } from '../support/websocket/client.ts';

interface BaseRequest {
  readonly name: string;
  /** The bytes, as latin1 text. */
  readonly send: string;
  /** The status of the response, on the configuration with forward routes. */
  readonly status: number;
  /** Requests after it on the same connection are no longer processed. */
  readonly last?: true;
  /** It breaks the connection; behind a request in flight it gets no response. */
  readonly breaks?: true;
}

/** `strict`: only one verified route. `open`: forward routes that stream, and upgrades. Both close connections soon. */
export const CONFIGURATIONS = {
  strict: { routes: [{ path: '/notify' }], unmatched: 'reject' },
  open: {
    routes: [
      { path: '/notify' },
      { path: '/open/*', action: 'forward' },
      { path: '/ws', action: 'forward', upgrade: ['websocket'] },
    ],
    unmatched: 'reject',
  },
} as const;
export type Configuration = keyof typeof CONFIGURATIONS;

/** `limits.maxHeader` in bytes. */
export const MAX_HEADER = 4 * 1024;

/** Short deadlines, so a request that never ends is over soon. */
export function optionsOf(configuration: Configuration) {
  const config = {
    ...CONFIGURATIONS[configuration],
    upstream: { idleTimeout: '500ms' },
    listen: { keepAlive: '1s' },
    limits: { maxHeader: MAX_HEADER, maxBody: '128KiB', headersTimeout: '500ms', bodyTimeout: '500ms' },
    log: { requests: 'none' },
  };
  // The image's own flag: by default V8 lets much garbage pile up before it collects.
  return [config, { env: { NODE_OPTIONS: '--max-semi-space-size=2' } }] as const;
}

const EVENT = '{"event":"authentication.completed","id":42}';
const notify = (lines: readonly string[], body: string) =>
  request(['POST /notify HTTP/1.1', 'Host: a', ...lines], body);
const open = (lines: readonly string[], body: string) => request(['POST /open/x HTTP/1.1', 'Host: a', ...lines], body);
const HIDDEN = forged('x');
const CHUNKED = 'Transfer-Encoding: chunked';

/** On both configurations. */
const VERIFIED: readonly BaseRequest[] = [
  { name: 'a delivery', send: signed(EVENT), status: 200 },
  { name: 'an empty delivery', send: signed(''), status: 200 },
  { name: 'a delivery of odd bytes', send: signed('\0\r\n\r\n\xff\xfe POST /notify HTTP/1.1\r\n'), status: 200 },
  { name: 'a delivery in chunks', send: notify([signatureLine(EVENT), CHUNKED], inChunks(EVENT, 7)), status: 200 },
  { name: 'a large delivery', send: signed('x'.repeat(70_000)), status: 200 },
  { name: 'a delivery with a query', send: signed(EVENT, { target: '/notify?a=/b' }), status: 200 },
  {
    name: 'a delivery over HTTP/1.0',
    send: signed(EVENT).replace('HTTP/1.1', 'HTTP/1.0'),
    status: 200,
    last: true,
  },
  { name: 'a forged delivery', send: forged(EVENT), status: 401 },
  { name: 'a forged delivery in chunks', send: notify([CHUNKED], inChunks(EVENT, 9)), status: 401, last: true },
  { name: 'a long delivery', send: signed('x'.repeat(20_000)), status: 200 },
  { name: 'a forged delivery that is read to its end', send: forged(get('/open/inner').repeat(1_400)), status: 401 },
  { name: 'a large forged delivery', send: forged('x'.repeat(70_000)), status: 401, last: true },
  {
    name: 'a delivery signed by another',
    send: notify([signatureLine(EVENT, 'another-secret-0123456789abcdef'), `Content-Length: ${EVENT.length}`], EVENT),
    status: 401,
  },
  { name: 'two signatures', send: signed(EVENT, { lines: [signatureLine(EVENT)] }), status: 401 },
  { name: 'a GET on the verified route', send: get('/notify'), status: 405 },
  { name: 'a target of no route', send: get('/nothing?to=/notify'), status: 404 },
  { name: 'a body that is too large', send: signed('y'.repeat(140_000)), status: 413, last: true },
  {
    name: 'two framings',
    send: notify([signatureLine(EVENT), CHUNKED, `Content-Length: ${EVENT.length}`], inChunks(EVENT, 99)),
    status: 400,
    last: true,
    breaks: true,
  },
];

const FORWARDED: readonly BaseRequest[] = [
  { name: 'an open request', send: get('/open/a?b=c'), status: 200 },
  { name: 'an upload', send: open([`Content-Length: ${EVENT.length}`], EVENT), status: 200 },
  { name: 'a large upload', send: open(['Content-Length: 120000'], HIDDEN.padEnd(120_000, HIDDEN)), status: 200 },
  { name: 'an upload in chunks', send: open([CHUNKED], inChunks(EVENT, 5)), status: 200 },
  {
    name: 'an upload with trailers',
    send: open([CHUNKED, 'Trailer: X-Sum'], `${inChunks(EVENT, 50).slice(0, -2)}X-Sum: 1\r\n\r\n`),
    status: 200,
  },
  { name: 'a handshake that is refused', send: handshake('/ws'), status: 200, last: true },
];

export const BASES: Readonly<Record<Configuration, readonly BaseRequest[]>> = {
  strict: VERIFIED,
  open: [...VERIFIED, ...FORWARDED],
};
