// The head of a request as it goes to the upstream: the lines byte for byte, with our own framing.
import { declaredLength, type Head } from '../core/request-head.ts';
import { CHUNKED, headLines } from '../core/sent-lines.ts';

interface Outgoing {
  /** The lines to send, before `outgoingHead` replaces hop-by-hop lines and framing. */
  readonly lines: readonly string[];
  /** The length in bytes of a body that is sent whole; null if it streams, or if there is none. */
  readonly bodyLength: number | null;
  /** `close`: no request may follow on the socket. `upgrade`: the request is a WebSocket's handshake. */
  readonly connection: keyof typeof CONNECTION;
}

const UPGRADE = 'Connection: Upgrade\r\nUpgrade: websocket\r\n';
const CONNECTION = { persist: '', close: 'Connection: close\r\n', upgrade: UPGRADE };

export function outgoingHead(head: Head, { lines, bodyLength, connection }: Outgoing): string {
  const te = connection !== 'upgrade' && head.version === '1.1' && head.asksForTrailers ? 'trailers' : null;
  let own = CONNECTION[connection];
  if (te !== null) own = connection === 'close' ? 'Connection: TE, close\r\n' : 'Connection: TE\r\n';
  return `${head.method} ${head.target} HTTP/1.1\r\n${headLines(lines, framingOf(head, bodyLength), te)}${own}\r\n`;
}

function framingOf(head: Head, bodyLength: number | null): string | null {
  if (head.contentLengths === 0 && head.transferEncodings === 0) return null;
  const length = bodyLength ?? declaredLength(head);
  return length === null ? CHUNKED : `Content-Length: ${length}`;
}
