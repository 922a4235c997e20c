// How node:http's client reads bytes: the response to one request, fed piece by piece through a transport without a
// socket.
import { type IncomingMessage, request } from 'node:http';
import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import type { Message } from './known-differences.ts';
import { turn } from './reference-server.ts';

export interface Taken extends Message {
  readonly status: number;
  readonly reason: string;
}

export interface TakenAnswer {
  readonly interim: Taken[];
  final: Taken | null;
  /** The bytes after a 101 that node handed over, as far as they arrived with it. */
  behindUpgrade: string | null;
  /** llhttp's code for bytes that are not HTTP; null if there are none. */
  refused: string | null;
}

export interface Exchange {
  readonly method: string;
  readonly pieces: readonly Buffer[];
  /** True if the server closes after the last piece. */
  readonly closes: boolean;
}

export async function receive({ method, pieces, closes }: Exchange): Promise<TakenAnswer> {
  const taken: TakenAnswer = { interim: [], final: null, behindUpgrade: null, refused: null };
  const wire = new Duplex({ read() {}, write: (_bytes, _encoding, done) => done() });
  wire.on('error', () => {});
  const client = request({
    method,
    createConnection: () => wire as unknown as Socket,
    headers: { connection: 'keep-alive' },
    maxHeaderSize: 2 * 1024 * 1024,
    httpValidation: 'strict',
  });
  client.maxHeadersCount = 0;
  client.on('information', ({ statusCode, statusMessage, httpVersion, rawHeaders }) => {
    const head = { status: statusCode, reason: statusMessage, version: httpVersion, lines: rawHeaders };
    taken.interim.push({ ...head, body: '', trailers: [], keepAlive: true, complete: true });
  });
  client.on('response', (response) => follow(response, taken, client.shouldKeepAlive));
  client.on('upgrade', (response, _socket, head) => {
    taken.final = { ...headOf(response), keepAlive: true, complete: true };
    taken.behindUpgrade = head.toString('latin1');
  });
  client.on('error', (error: Error & { code?: string }) => {
    if (error.code?.startsWith('HPE_')) taken.refused ??= error.code;
  });
  client.end();
  await turn();
  for (const piece of pieces) {
    if (wire.destroyed) break;
    wire.push(piece);
    await turn();
  }
  if (closes && !wire.destroyed) wire.push(null);
  await turn();
  wire.destroy();
  return taken;
}

function follow(response: IncomingMessage, taken: TakenAnswer, keepAlive: boolean): void {
  const final: Taken = { ...headOf(response), keepAlive, complete: false };
  taken.final = final;
  response.on('data', (piece: Buffer) => {
    final.body += piece.toString('latin1');
  });
  response.on('error', () => {});
  response.on('end', () => {
    final.complete = response.complete;
    final.trailers = response.rawTrailers;
  });
}

function headOf(response: IncomingMessage) {
  return {
    status: response.statusCode ?? 0,
    reason: response.statusMessage ?? '',
    version: response.httpVersion,
    lines: response.rawHeaders,
    body: '',
    trailers: [],
  };
}
