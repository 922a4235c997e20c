// Answers that are ours: constant JSON, whole even for a client that is still writing (staged close, RFC 9112 9.6).
import type { Socket } from 'node:net';
import { REASONS, type Reason, refusalBody } from '../core/decision.ts';
import { declaredLength, hasBody } from '../core/head.ts';
import type { Exchange } from './exchange.ts';
import type { Lingering } from './linger.ts';

/** Seconds after which a sender should try again when the fault is ours. */
const RETRY_AFTER_SECONDS = '1';
/** A rest of a body up to this is read and dropped, and the connection stays; a longer one ends it. */
const DRAINED_BYTES = 64 * 1024;

export interface Answer {
  readonly status: number;
  readonly body: string;
  readonly headers?: readonly string[];
}

/** The answer to a refused request. `allow`: the methods of the route, for 405. */
export function refusal(reason: Reason, allow: readonly string[] | null): Answer {
  const { status, retryable } = REASONS[reason];
  const headers: string[] = [];
  if (retryable) headers.push('Retry-After', RETRY_AFTER_SECONDS);
  if (status === 405) headers.push('Allow', (allow ?? []).join(', '));
  return { status, body: refusalBody(reason), headers };
}

export const BAD_GATEWAY: Answer = { status: 502, body: '{"error":"bad_gateway"}' };
export const GATEWAY_TIMEOUT: Answer = { status: 504, body: '{"error":"gateway_timeout"}' };
export const DUPLICATE: Answer = { status: 200, body: '{"status":"duplicate"}' };

/**
 * To be called just before a response's head. The last response on a connection says so; others say nothing, since
 * HTTP/1.1 connections persist without a word and a line that the upstream did not send is one too many (spec §5).
 */
export function settlePersistence(
  { response, head, connection, awaitsContinue }: Exchange,
  wish: 'close' | 'persist',
): void {
  const isLast = connection.latest?.response === response;
  if (wish === 'close' || awaitsContinue || (isLast && connection.mustClose(connection)))
    response.shouldKeepAlive = false;
  if (!response.shouldKeepAlive) connection.closing = true;
  else if (head.version === '1.1') response.removeHeader('connection');
}

/** Sends an answer of ours, unless one has begun. */
export function answer(exchange: Exchange, given: Answer, lingering: Lingering): void {
  const { response, request, head } = exchange;
  if (response.headersSent || response.destroyed) return;
  exchange.status = given.status;
  const unread = !request.complete && hasBody(head) && !exchange.awaitsContinue;
  const declared = declaredLength(head);
  // After a head that servers read differently nobody knows where the next request begins.
  const closes =
    given.status === 400 ||
    given.status === 408 ||
    given.status === 431 ||
    exchange.awaitsContinue ||
    (unread && (declared === null || declared > DRAINED_BYTES || !response.shouldKeepAlive));
  settlePersistence(exchange, closes ? 'close' : 'persist');
  response.sendDate = false;
  const headers = ['Content-Type', 'application/json', 'Content-Length', String(given.body.length)];
  response.writeHead(given.status, given.headers === undefined ? headers : headers.concat(given.headers));
  // A HEAD request gets the head alone; node would throw on a body otherwise.
  const body = head.method === 'HEAD' ? '' : given.body;
  if (unread && closes) {
    // Ending now would reset the connection under a client that is still writing, and the answer with it.
    if (body !== '') response.write(body);
    else response.flushHeaders();
    lingering.hold(exchange);
    return;
  }
  response.end(body);
  if (unread) lingering.drain(exchange);
}

/** An answer to bytes that never became a request, or whose response can no longer go through node's own. */
export function answerRaw(socket: Socket, reason: Reason): void {
  if (!socket.writable) {
    socket.destroy();
    return;
  }
  const { status, body } = refusal(reason, null);
  const name = {
    400: 'Bad Request',
    408: 'Request Timeout',
    413: 'Content Too Large',
    431: 'Request Header Fields Too Large',
  }[status];
  socket.write(
    `HTTP/1.1 ${status} ${name ?? 'Bad Request'}\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`,
  );
}

/** Cuts a response that has begun and can't be whole: never ended as if it were. */
export function cut({ response, request, head }: Exchange): void {
  const { socket } = request;
  // For HTTP/1.0 the end of the connection may be the end of the body: only a reset tells the difference. Over TLS the
  // missing close_notify does.
  if (head.version === '1.0' && !('encrypted' in socket)) socket.resetAndDestroy();
  else response.destroy();
}
