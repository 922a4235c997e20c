// The head of a request as it goes to the upstream: the client's lines byte for byte, our own framing, and our lines
// about the client if `forwardedHeaders` asks for them.
import type { Socket } from 'node:net';
import { ABOUT_CLIENT, CHUNKED, headLines } from '../core/forwarded-lines.ts';
import { pairsOf } from '../core/header-lines.ts';
import { lowerCaseName } from '../core/header-names.ts';
import { declaredLength, type Head } from '../core/request-head.ts';

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

/** A request as it came, with the connection that it came by. */
interface Received {
  readonly lines: readonly string[];
  readonly head: Head;
  readonly clientConnection: {
    readonly address: string;
    readonly encrypted: boolean;
    readonly stream: Pick<Socket, 'localPort'>;
  };
}

/** Matches names that a server may read as headers about the client: CGI turns all but letters and digits into `_`. */
const SPELT = new RegExp(`^(?:${ABOUT_CLIENT}|x-forwarded)$`.replaceAll('-', '[^a-z0-9]'));
/** The names of the lines that we write: `allowHeaders` must not let the client's own lines pass beside ours. */
const OURS = /^x[^a-z0-9](?:forwarded[^a-z0-9](?:for|proto|host|port)|real[^a-z0-9]ip)$/;

/**
 * The request's lines under `forwardedHeaders: overwrite`: the client's own forwarding headers are dropped, except
 * those in `allowHeaders` that we do not write ourselves, and ours are appended.
 */
export function withForwarded({ lines, head, clientConnection }: Received, allowHeaders: readonly string[]): string[] {
  const kept: string[] = [];
  for (const [name, value] of pairsOf(lines)) {
    const lower = lowerCaseName(name);
    if (SPELT.test(lower) && (OURS.test(lower) || !allowHeaders.includes(lower))) continue;
    kept.push(name, value);
  }
  const { address, encrypted, stream } = clientConnection;
  kept.push('X-Forwarded-For', address, 'X-Forwarded-Proto', encrypted ? 'https' : 'http');
  kept.push('X-Forwarded-Host', head.host, 'X-Forwarded-Port', `${stream.localPort ?? ''}`, 'X-Real-IP', address);
  return kept;
}
