// Bytes that the parser gives up on: in a head, in a body under way, or behind a whole request. Each gets one answer, in its
// turn, or none; what comes behind them is dropped.
import type { Socket } from 'node:net';
import type { Reason } from '../core/decision.ts';
import type { RequestRecord } from '../core/record.ts';
import { type Connection, connectionOf, endInBounds } from './connection.ts';
import type { Connections } from './connections.ts';
import type { Exchange } from './exchange.ts';
import type { Lingering } from './linger.ts';
import { answerRaw } from './respond.ts';

export class Broken {
  readonly #connections: Connections;
  readonly #lingering: Lingering;
  readonly #record: (record: RequestRecord) => void;

  constructor(parts: {
    connections: Connections;
    lingering: Lingering;
    /** Bytes that never became a request are counted as one. */
    record: (record: RequestRecord) => void;
  }) {
    this.#connections = parts.connections;
    this.#lingering = parts.lingering;
    this.#record = parts.record;
  }

  onClientError(error: Error, socket: Socket): void {
    const connection = connectionOf(socket);
    const code = (error as NodeJS.ErrnoException).code ?? '';
    // A TLS handshake that failed was never a request.
    if (!this.#connections.has(connection) || code === 'ECONNRESET' || code === 'EPIPE' || socket.destroyed) {
      socket.destroy();
      return;
    }
    // Once broken, each read that follows is an error too: so its bytes are dropped, until the connection's end.
    if (!connection.broken) this.#break(connection, reasonOf(code));
    // Who has sent all that there is loses no answer to a reset.
    if (socket.readableEnded) this.#lingering.finish(connection.latest);
  }

  #break(connection: Connection, reason: Reason): void {
    connection.broken = true;
    const { latest, socket } = connection;
    if (latest !== null && connection.active.includes(latest) && !latest.request.complete) this.#breakBody(latest);
    else this.refuse(connection, socket, reason);
  }

  #breakBody(exchange: Exchange): void {
    const { connection, response } = exchange;
    if (!response.headersSent) (exchange.body ?? exchange.upload)?.fail('bad_request');
    // Its answer is out, whole, and lingers for a client that may still be writing. Anything else is cut.
    if (exchange.decision !== 'rejected' || !response.headersSent) connection.socket.destroy();
  }

  /** Bytes that never became a request: counted as one all the same, unless not a single byte came. */
  refuse(connection: Connection, socket: Socket, reason: Reason): void {
    if (connection.closing && connection.active.length > 0) return; // the answer that ends it is on its way
    if (connection.closing) return endInBounds(connection);
    if (reason === 'header_timeout' && socket.bytesRead === 0) {
      socket.destroy();
      return;
    }
    this.#record(refusedRaw(connection, reason));
    // An answer now would come before the one that is still being given: the connection ends with that one.
    if (connection.active.length > 0) return;
    answerRaw(socket, reason);
    endInBounds(connection);
  }
}

function reasonOf(code: string): Reason {
  if (code === 'HPE_HEADER_OVERFLOW') return 'header_too_large';
  return code === 'ERR_HTTP_REQUEST_TIMEOUT' ? 'header_timeout' : 'bad_request';
}

function refusedRaw(connection: Connection, reason: Reason): RequestRecord {
  const status = { header_too_large: 431, header_timeout: 408 }[reason as string] ?? 400;
  return {
    route: 'unmatched',
    method: '',
    path: '',
    status,
    decision: 'rejected',
    reason,
    hint: null,
    rule: ({ bad_request: 'parser', header_too_large: 'head-size' } as const)[reason as string] ?? null,
    header: null,
    secret: null,
    bodyBytes: 0,
    durationMs: 0,
    verifyMs: -1,
    upstreamMs: -1,
    upstreamStatus: 0,
    upstreamFailure: null,
    upstreamError: null,
    bodySha256: null,
    client: connection.address,
    traceId: null,
  };
}
