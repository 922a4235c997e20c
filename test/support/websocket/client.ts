// WebSockets for tests: an upstream that echoes, a client with the `ws` package, and the handshake as bytes.
import { once } from 'node:events';
import type { Server } from 'node:http';
import { type ClientOptions, type RawData, WebSocket, WebSocketServer } from 'ws';
import { listening } from '../machine/listening.ts';

/** A handshake's key and the matching accept value (RFC 6455 1.3). */
export const KEY = 'dGhlIHNhbXBsZSBub25jZQ==';
export const ACCEPT = 's3pPLMBiTxaQ9kYGzzhZRbK+xOo=';

/** A handshake as a browser sends it. `lines` come last; `start` replaces the request line. */
export function handshake(
  target: string,
  { start = `GET ${target} HTTP/1.1`, lines = [] }: { start?: string; lines?: string[] } = {},
): string {
  const own = ['Host: h', 'Upgrade: websocket', 'Connection: Upgrade', `Sec-WebSocket-Key: ${KEY}`];
  return [start, ...own, 'Sec-WebSocket-Version: 13', ...lines, '', ''].join('\r\n');
}

/** The upstream's 101 response, as bytes. */
export const AGREED = [
  'HTTP/1.1 101 Switching Protocols',
  'Upgrade: websocket',
  'Connection: Upgrade',
  `Sec-WebSocket-Accept: ${ACCEPT}`,
  '',
  '',
].join('\r\n');

/** Echoes each message, on a free loopback port or the path of a unix socket. `server` is a plain or a TLS server. */
export async function startEcho(server: Server, where: { url: string; path?: string }) {
  const webSockets = new WebSocketServer({ server });
  server.on('request', (_request, response) => response.writeHead(426).end());
  webSockets.on('connection', (webSocket) => {
    webSocket.on('error', () => {});
    webSocket.on('message', (message: RawData, binary) => webSocket.send(message as Buffer, { binary }));
  });
  const { port, sockets, close } = await listening(server, where.path);
  return {
    url: where.path === undefined ? `${where.url}:${port}` : where.url,
    /** The currently open sockets. */
    sockets,
    webSockets,
    close: async () => {
      for (const webSocket of webSockets.clients) webSocket.terminate();
      await close();
    },
  };
}

/** Opens one; rejects if the handshake is refused. */
export async function openWebSocket(url: string, options: ClientOptions = {}): Promise<WebSocket> {
  const webSocket = new WebSocket(url, options);
  await once(webSocket, 'open');
  webSocket.on('error', () => {});
  return webSocket;
}

/** Sends one message and returns the one that comes back. */
export async function echoed(webSocket: WebSocket, message: Buffer | string): Promise<Buffer> {
  const back = once(webSocket, 'message');
  webSocket.send(message);
  return (await back)[0] as Buffer;
}
