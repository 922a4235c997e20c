// The head of a request as it goes to the upstream: the client's lines in their bytes, framed by us.
import { declaredLength, type Head } from '../core/request-head.ts';
import { CHUNKED, headLines } from '../wire/forwarded-lines.ts';

interface Outgoing {
  /** The lines to send; hop-by-hop lines and framing are replaced here. */
  readonly lines: readonly string[];
  /** The bytes of a body that is sent whole; null for one that streams, or none. */
  readonly bodyLength: number | null;
  /** `close`: no request may follow on the socket. */
  readonly connection: 'close' | 'persist';
}

export function outgoingHead(head: Head, { lines, bodyLength, connection }: Outgoing): string {
  const closes = connection === 'close';
  const framing = bodyLength === null ? framingOf(head) : isFramed(head) ? `Content-Length: ${bodyLength}` : null;
  const te = head.version === '1.1' && head.asksForTrailers ? 'trailers' : null;
  let own = closes ? 'Connection: close\r\n' : '';
  if (te !== null) own = closes ? 'Connection: TE, close\r\n' : 'Connection: TE\r\n';
  return `${head.method} ${head.target} HTTP/1.1\r\n${headLines(lines, framing, te)}${own}\r\n`;
}

function isFramed(head: Head): boolean {
  return head.contentLengths > 0 || head.transferEncodings > 0;
}

function framingOf(head: Head): string | null {
  if (!isFramed(head)) return null;
  const declared = declaredLength(head);
  return declared === null ? CHUNKED : `Content-Length: ${declared}`;
}
