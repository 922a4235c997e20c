// A strict reader of HTTP/1.1 responses as bytes (RFC 9112) for tests. It never repairs its input: anything that breaks
// the RFC throws, so a sloppy proxy cannot hide behind a lenient parser.

export interface RawResponse {
  readonly version: string;
  readonly status: number;
  /** As latin1 text: one character a byte. */
  readonly reason: string;
  /** Each header line as received, in order, as latin1 text. */
  readonly lines: readonly string[];
  readonly body: Buffer;
  readonly framing: 'none' | 'length' | 'chunked' | 'close';
  readonly trailers: readonly string[];
  readonly informational: readonly RawResponse[];
}

export interface ParseOptions {
  /** True for the response to a HEAD: only a head. */
  readonly head?: boolean;
  /** True once the peer has sent its last byte: only then can a body that ends by close be complete. */
  readonly ended?: boolean;
}

/** One final response from the start of `bytes`, with its length; null if it needs more. Throws on anything malformed. */
export function parseResponse(bytes: Buffer, options: ParseOptions = {}) {
  const informational: RawResponse[] = [];
  let at = 0;
  for (;;) {
    const head = parseHead(bytes, at);
    if (head === null) return null;
    at = head.end;
    const isFinal = head.status >= 200 || head.status === 101;
    if (!isFinal) {
      informational.push({ ...head, body: Buffer.alloc(0), framing: 'none', trailers: [], informational: [] });
      continue;
    }
    const body = parseBody(bytes.subarray(at), head, options);
    if (body === null) return null;
    const { version, status, reason, lines } = head;
    const { framing, trailers } = body;
    const response = { version, status, reason, lines, body: body.bytes, framing, trailers, informational };
    return { response, length: at + body.length };
  }
}

/** The values of a header, in order, by a name in any case. */
export function values(lines: readonly string[], name: string): string[] {
  const prefix = `${name.toLowerCase()}:`;
  return lines
    .filter((line) => line.toLowerCase().startsWith(prefix))
    .map((line) => line.slice(prefix.length).replace(/^[ \t]+|[ \t]+$/g, ''));
}

type Head = NonNullable<ReturnType<typeof parseHead>>;

function parseHead(bytes: Buffer, from: number) {
  const end = bytes.indexOf('\r\n\r\n', from, 'latin1');
  if (end === -1) return null;
  const [first = '', ...lines] = bytes.toString('latin1', from, end).split('\r\n');
  const match = /^HTTP\/(1\.[01]) (\d{3}) ([^\r\n]*)$/.exec(first);
  if (match === null) throw new Error(`not a status line: ${JSON.stringify(first)}`);
  for (const line of lines) {
    if (!/^[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[^\r\n\0]*$/.test(line)) {
      throw new Error(`not a header line: ${JSON.stringify(line)}`);
    }
  }
  return { version: match[1] ?? '', status: Number(match[2]), reason: match[3] ?? '', lines, end: end + 4 };
}

interface Body {
  readonly bytes: Buffer;
  readonly framing: RawResponse['framing'];
  readonly trailers: readonly string[];
  readonly length: number;
}

function parseBody(bytes: Buffer, head: Head, { head: toHead, ended }: ParseOptions): Body | null {
  const empty = toHead === true || head.status === 101 || head.status === 204 || head.status === 304;
  if (empty) return { bytes: Buffer.alloc(0), framing: 'none', trailers: [], length: 0 };
  const coding = values(head.lines, 'transfer-encoding');
  const declared = values(head.lines, 'content-length');
  if (coding.length + declared.length > 1) throw new Error('more than one line of framing');
  if (coding.length === 1) {
    if (coding[0] !== 'chunked') throw new Error(`unknown transfer-encoding: ${coding[0]}`);
    return parseChunks(bytes);
  }
  if (declared.length === 1) {
    if (!/^(0|[1-9]\d*)$/.test(declared[0] ?? '')) throw new Error(`bad content-length: ${declared[0]}`);
    const length = Number(declared[0]);
    if (bytes.length < length) return null;
    return { bytes: bytes.subarray(0, length), framing: 'length', trailers: [], length };
  }
  return ended === true ? { bytes, framing: 'close', trailers: [], length: bytes.length } : null;
}

function parseChunks(bytes: Buffer): Body | null {
  const pieces: Buffer[] = [];
  let at = 0;
  for (;;) {
    const lineEnd = bytes.indexOf('\r\n', at, 'latin1');
    if (lineEnd === -1) return null;
    const line = bytes.toString('latin1', at, lineEnd);
    if (!/^[0-9a-fA-F]+$/.test(line)) throw new Error(`not a chunk size: ${JSON.stringify(line)}`);
    const size = Number.parseInt(line, 16);
    at = lineEnd + 2;
    if (size === 0) break;
    if (bytes.length < at + size + 2) return null;
    pieces.push(bytes.subarray(at, at + size));
    at += size + 2;
    if (bytes.toString('latin1', at - 2, at) !== '\r\n') throw new Error('a chunk does not end in CRLF');
  }
  if (bytes.toString('latin1', at, at + 2) === '\r\n') {
    return { bytes: Buffer.concat(pieces), framing: 'chunked', trailers: [], length: at + 2 };
  }
  const end = bytes.indexOf('\r\n\r\n', at, 'latin1');
  if (end === -1) return null;
  const trailers = bytes.toString('latin1', at, end).split('\r\n');
  return { bytes: Buffer.concat(pieces), framing: 'chunked', trailers, length: end + 4 };
}
