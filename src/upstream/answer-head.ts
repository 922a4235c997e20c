// An answer's head: what it is, and an answer that waits at its head.
import type { Buffer } from 'node:buffer';
import { acceptsWebSocket } from '../core/websocket-handshake.ts';
import type { MessageParser } from '../wire/parser.ts';
import type { ForwardFailure } from './contract.ts';
import type { UpstreamConnection } from './upstream-connection.ts';

/** The maximum number of interim responses (1xx): nothing else stops an upstream that sends them forever. */
const MAX_INTERIMS = 100;

/** `interims`: how many came before. `upgrade`: the request's lines if it asks for a WebSocket; else null. */
export function kindOfHead(
  { status, version, coded, lines }: MessageParser,
  interims: number,
  upgrade: readonly string[] | null,
): 'invalid' | 'interim' | 'tunnel' | 'final' {
  const isHttp = (version === '1.1' || version === '1.0') && status >= 100 && status <= 599 && !coded;
  if (!isHttp) return 'invalid';
  if (status >= 200) return 'final';
  if (status === 101) return upgrade !== null && acceptsWebSocket(upgrade, lines) ? 'tunnel' : 'invalid';
  return interims === MAX_INTERIMS ? 'invalid' : 'interim';
}

/** True for an answer without a body. Some servers write one all the same, late: the socket's next request would get it. */
export function mayBringLateBytes(method: string, status: number): boolean {
  return method === 'HEAD' || status === 204 || status === 304;
}

/** Whether bytes, or the upstream's end, have come behind an answer so far. */
export type Followed = 'nothing' | 'bytes' | 'close';

/** An answer that waits at its head. */
export class AnswerAtHead {
  /** Once the connection is closed, the exchange no longer knows it. */
  readonly connection: UpstreamConnection;
  /** The body, as far as it came in the head's own read. */
  readonly pieces: Buffer[] = [];
  /** How the answer has ended meanwhile, which may have closed the connection, too; null if it has not. */
  ended: Followed | ForwardFailure | null = null;

  constructor(connection: UpstreamConnection) {
    this.connection = connection;
  }

  data(piece: Buffer): void {
    this.pieces.push(piece);
  }

  /** Only the first end counts. */
  end(how: Followed | ForwardFailure): void {
    this.ended ??= how;
  }
}
