// Requests that node took off HTTP: it makes no response for an upgrade and takes its parser and its listeners away. Here a
// response is put on the socket by hand, so that an upgrade that comes to nothing is answered like any request.
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { endToEnd } from '../core/headers.ts';
import { connectionOf, endInBounds } from './connection.ts';
import type { Exchange } from './exchange.ts';
import { settlePersistence } from './respond.ts';
import { trailerPairs } from './response-lines.ts';

const http = process.getBuiltinModule('node:http');

/** A response that always ends the connection: nobody parses what follows on it. */
export function responseOn(socket: Socket, request: IncomingMessage): ServerResponse {
  const response = new http.ServerResponse(request);
  response.shouldKeepAlive = false;
  response.assignSocket(socket);
  socket.on('error', ignore); // 'close' follows
  socket.on('drain', () => response.emit('drain'));
  response.once('finish', () => {
    response.detachSocket(socket);
    response.emit('close'); // as node does for its own
    endInBounds(connectionOf(socket));
    socket.resume(); // what the client sent behind the upgrade is dropped
  });
  return response;
}

/** The upstream's refusal, whole and with backpressure. `idleTimeout` in milliseconds; the caller hears of its failure. */
export function relay(incoming: IncomingMessage, exchange: Exchange, idleTimeout: number): void {
  const { response } = exchange;
  settlePersistence(exchange, 'close');
  response.sendDate = false;
  response.writeHead(incoming.statusCode ?? 502, incoming.statusMessage ?? '', endToEnd(incoming.rawHeaders));
  response.flushHeaders();
  incoming.once('end', () => response.addTrailers(trailerPairs(incoming.rawTrailers)));
  // A client that stops reading counts too: nothing moves on the upstream's socket then.
  incoming.setTimeout(idleTimeout, () => incoming.destroy(new Error('the response stands still')));
  incoming.pipe(response);
}

function ignore(): void {}
