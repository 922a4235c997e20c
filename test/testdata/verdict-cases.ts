// One delivery a row, with our answer and that of Entrupy's example receiver to the same bytes. If the two differ, the row
// says why. A row must never be changed to agree with a measurement that nobody understands.
import { sign } from '../support/deliveries/signer.ts';
import { inChunks } from '../support/http/requests.ts';

/** An opaque UTF-8 string, beyond ASCII on purpose: it is never decoded as hex or base64. */
export const SECRET = 'gëheim-🔑-0123456789abcdef0123456789';

export interface VerdictCase {
  readonly name: string;
  /** Header lines without their line ends, as latin1 text. */
  readonly headers: readonly string[];
  readonly body: Buffer;
  /** Sent in chunks of this many bytes instead of with a Content-Length. */
  readonly chunk?: number;
  /** What we answer. */
  readonly status: 200 | 401;
  /** What the example receiver answers, where it differs. */
  readonly example?: { readonly status: number; readonly because: string };
}

const EVENT = Buffer.from('{"event":"session.completed","data":{"entrupy_id":"1SALEFYH","status":"authentic"}}');
const RIGHT = sign(SECRET, EVENT);
const DIGEST = RIGHT.slice('SHA256:'.length);
const OTHER_SECRET = 'another-secret-0123456789abcdef01234';

const line = (value: string) => `Entrupy-Signature: ${value}`;
const utf8 = (text: string) => Buffer.from(text, 'utf8').toString('latin1');

function header(name: string, value: string, status: 200 | 401, example?: VerdictCase['example']): VerdictCase {
  return raw(name, [line(value)], status, example);
}

function raw(name: string, headers: string[], status: 200 | 401, example?: VerdictCase['example']): VerdictCase {
  return { name: `header: ${name}`, headers, body: EVENT, status, ...(example && { example }) };
}

function body(
  name: string,
  bytes: Buffer | string,
  more: Partial<VerdictCase> & { lines?: string[] } = {},
): VerdictCase {
  const content = typeof bytes === 'string' ? Buffer.from(bytes, 'utf8') : bytes;
  const { lines = [], ...rest } = more;
  return {
    name: `body: ${name}`,
    headers: [line(sign(SECRET, content)), ...lines],
    body: content,
    status: 200,
    ...rest,
  };
}

function tampered(name: string, bytes: Buffer | string): VerdictCase {
  const content = typeof bytes === 'string' ? Buffer.from(bytes, 'utf8') : bytes;
  return { name: `tampered: ${name}`, headers: [line(RIGHT)], body: content, status: 401 };
}

const TRAILING = {
  status: 401,
  because: 'its header parser keeps the spaces, which RFC 9112 (5.1) leaves out of the value',
};
const NOT_ASCII = { status: 500, because: 'hmac.compare_digest raises TypeError on text beyond ASCII' };
const NOT_UTF8 = { status: 500, because: 'it decodes the body as UTF-8 first; we verify bytes' };
const FORM = { status: 401, because: 'Flask takes a form body away before request.data is read; we verify bytes' };

const hex = Buffer.from(DIGEST, 'base64').toString('hex');
const urlSafe = DIGEST.replaceAll('+', '-').replaceAll('/', '_');
const lastDigit = DIGEST.charAt(42);
const sameBytes = `${DIGEST.slice(0, 42)}${String.fromCharCode(lastDigit.charCodeAt(0) + 1)}=`;
const swapped = [...DIGEST].map((c) => (c === c.toUpperCase() ? c.toLowerCase() : c.toUpperCase())).join('');

const HEADER_CASES: readonly VerdictCase[] = [
  header('as Entrupy sends it', RIGHT, 200),
  raw('its name in upper case', [`ENTRUPY-SIGNATURE: ${RIGHT}`], 200),
  raw('no space after the colon', [`Entrupy-Signature:${RIGHT}`], 200),
  raw('spaces and a tab before the value', [`Entrupy-Signature:  \t ${RIGHT}`], 200),
  raw('spaces after the value', [`${line(RIGHT)}  `], 200, TRAILING),
  raw('none', [], 401),
  header('empty', '', 401),
  header('no colon', 'SHA256', 401),
  header('the digest alone', DIGEST, 401),
  header('a colon alone', ':', 401),
  header('two colons', `SHA256:${DIGEST}:`, 401),
  header('three tokens', `SHA256:v1:${DIGEST}`, 401),
  header('the algorithm in mixed case', `Sha256:${DIGEST}`, 401),
  header('the algorithm with a hyphen', `SHA-256:${DIGEST}`, 401),
  header('another algorithm, nothing after it', 'MD5:', 401),
  header('an equals sign for the colon', `SHA256=${DIGEST}`, 401),
  header('a space after the algorithm', `SHA256 :${DIGEST}`, 401),
  header('a tab after the colon', `SHA256:\t${DIGEST}`, 401),
  header('quoted', `"${RIGHT}"`, 401),
  header('a trailing comma', `${RIGHT},`, 401),
  header('twice in one line', `${RIGHT}, ${RIGHT}`, 401),
  header('a right one after a wrong one in one line', `SHA256:AAAA, ${RIGHT}`, 401),
  header('without its padding', RIGHT.slice(0, -1), 401),
  header('one padding sign too many', `${RIGHT}=`, 401),
  header('one character too few', `SHA256:${DIGEST.slice(1)}`, 401),
  header('one character too many', `SHA256:A${DIGEST}`, 401),
  header('text after the padding', `${RIGHT}AAAA`, 401),
  header('another spelling of the same 32 bytes', `SHA256:${sameBytes}`, 401),
  header('upper and lower case swapped', `SHA256:${swapped}`, 401),
  header('url-safe base64, padded', `SHA256:${urlSafe}`, 401),
  header('hexadecimal', `SHA256:${hex}`, 401),
  header('the base64 of the hexadecimal', `SHA256:${Buffer.from(hex).toString('base64')}`, 401),
  header('31 bytes', `SHA256:${Buffer.alloc(31).toString('base64')}`, 401),
  header('32 NUL bytes', `SHA256:${Buffer.alloc(32).toString('base64')}`, 401),
  header('by another secret', sign(OTHER_SECRET, EVENT), 401),
  header('by an empty secret', sign('', EVENT), 401),
  header('by the secret and a newline', sign(`${SECRET}\n`, EVENT), 401),
  header('of an empty body', sign(SECRET, ''), 401),
  header('beyond ASCII in the digest', `SHA256:${utf8('é')}${DIGEST.slice(2)}`, 401, NOT_ASCII),
  header('obs-text after the digest', `${RIGHT}\xa0`, 401, NOT_ASCII),
  header('beyond ASCII in the algorithm', `${utf8('ＳＨＡ256')}:${DIGEST}`, 401),
  raw('two equal lines', [line(RIGHT), line(RIGHT)], 401),
  raw('a wrong line, then the right one', [line(sign(OTHER_SECRET, EVENT)), line(RIGHT)], 401),
  raw('the right line, then an empty one', [line(RIGHT), line('')], 401),
  raw('an empty line, then the right one', [line(''), line(RIGHT)], 401),
  raw('split over two lines', [line(RIGHT.slice(0, 30)), line(RIGHT.slice(30))], 401),
  raw('under another name', [`X-Entrupy-Signature: ${RIGHT}`], 401),
  raw('under the name of another service', [`X-Hub-Signature-256: sha256=${hex}`], 401),
  raw('in a cookie', [`Cookie: Entrupy-Signature=${RIGHT}`], 401),
];

const BODY_CASES: readonly VerdictCase[] = [
  body('empty', ''),
  body('JSON with white space around', ' \r\n{ "a" : 1 }\r\n\t'),
  body('a newline at its end', `${EVENT}\n`),
  body('CRLF', 'one\r\ntwo\r\n'),
  body('a byte order mark', '\ufeff{"a":1}'),
  body('NUL bytes', 'a\0b\0'),
  body('emoji', '{"note":"👜 authentic ✅"}'),
  body('composed letters', 'é ü ñ'),
  body('decomposed letters', 'e\u0301 u\u0308 n\u0303'),
  body('a line separator', 'a\u2028b'),
  body('escaped unicode', '{"note":"\\u00e9"}'),
  body('a number that JSON would respell', '{"n":1.0,"m":1e2,"z":-0}'),
  body('keys twice', '{"a":1,"a":2}'),
  body('not JSON at all', 'hello'),
  body('64 KiB', Buffer.alloc(65_536, 'a')),
  body('in chunks', EVENT, { chunk: 7 }),
  body('empty, in chunks', '', { chunk: 1 }),
  body('told to be JSON', EVENT, { lines: ['Content-Type: application/json'] }),
  body('told to be text in latin1', 'é', { lines: ['Content-Type: text/plain; charset=iso-8859-1'] }),
  body('told to be gzip', EVENT, { lines: ['Content-Encoding: gzip'] }),
  body('told to be a form', 'a=1&b=2', {
    lines: ['Content-Type: application/x-www-form-urlencoded'],
    example: FORM,
  }),
  body('told to be a form, signed as if it were empty', 'a=1&b=2', {
    headers: [line(sign(SECRET, '')), 'Content-Type: application/x-www-form-urlencoded'],
    status: 401,
    example: { status: 200, because: 'Flask takes a form body away, so it verifies nothing at all' },
  }),
  body('latin1', Buffer.from('caf\xe9', 'latin1'), { example: NOT_UTF8 }),
  body('all 256 bytes', Buffer.from(Array.from({ length: 256 }, (_, i) => i)), { example: NOT_UTF8 }),
  body('an encoded surrogate', Buffer.from([0xed, 0xa0, 0x80]), { example: NOT_UTF8 }),
  body('a sequence cut short', Buffer.from('👜').subarray(0, 3), { example: NOT_UTF8 }),
  body('an overlong form', Buffer.from([0xc0, 0xaf]), { example: NOT_UTF8 }),
  tampered('one bit', Buffer.from(EVENT.map((byte, i) => (i === 10 ? byte ^ 1 : byte)))),
  tampered('one byte more', `${EVENT}}`),
  tampered('compacted otherwise', EVENT.toString().replaceAll(':', ': ')),
  tampered('a byte order mark before it', `\ufeff${EVENT}`),
  tampered('empty', ''),
];

export const VERDICT_CASES: readonly VerdictCase[] = [...HEADER_CASES, ...BODY_CASES];

/** The delivery as it goes over the wire; the connection is to be closed after it. */
export function delivery({ headers, body: content, chunk }: VerdictCase, target = '/notify'): Buffer {
  const framing = chunk === undefined ? `Content-Length: ${content.length}` : 'Transfer-Encoding: chunked';
  const head = [`POST ${target} HTTP/1.1`, 'Host: receiver.example', 'Connection: close', ...headers, framing, '', ''];
  const text = content.toString('latin1');
  return Buffer.from(head.join('\r\n') + (chunk === undefined ? text : inChunks(text, chunk)), 'latin1');
}
