// Requests that node took off HTTP: it makes no response for an upgrade and takes its parser and its listeners away. Here a
// response is put on the socket by hand, so that an upgrade that comes to nothing is answered like any request.
import { type IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

/** After the answer the client's bytes are read and dropped for this long: a reset would take the answer with it. */
const LINGER_MS = 1000;

/** A response that always ends the connection: nobody parses what follows on it. */
export function responseOn(socket: Socket, request: IncomingMessage): ServerResponse {
  const response = new ServerResponse(request);
  response.shouldKeepAlive = false;
  response.assignSocket(socket);
  socket.on('error', ignore); // 'close' follows
  socket.on('drain', () => response.emit('drain'));
  response.once('finish', () => endSoon(socket));
  return response;
}

function endSoon(socket: Socket): void {
  const timer = setTimeout(() => socket.destroy(), LINGER_MS);
  socket.once('close', () => clearTimeout(timer));
  socket.end();
  socket.resume();
}

function ignore(): void {}
