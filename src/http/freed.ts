// Memory of large bodies, given back at once. Left to the garbage collector, 200 clients with 1 MiB bodies hold 70-90 MB of
// buffers that nobody needs, and a container of 128 MiB is killed. It must never free what a socket is still writing.
import { subscribe } from 'node:diagnostics_channel';
import type { Socket } from 'node:net';

/** Bytes. A shorter buffer is not worth the call. */
const WORTH_FREEING = 16 * 1024;
/** The same for chunks, of which a client may send many. */
const CHUNK_WORTH_FREEING = 4 * 1024;

/** Which socket a large body went out on, as undici tells just before it writes. */
const sentOn = new WeakMap<Uint8Array, Socket>();

let watching = false;

/** A large body to be freed once sent is on its way. Until the first one nobody listens: telling us costs every request. */
export function watchSends(): void {
  if (watching) return;
  watching = true;
  subscribe('undici:client:sendHeaders', (message) => {
    const { request, socket } = message as { request: { body: unknown }; socket: Socket };
    if (Buffer.isBuffer(request.body) && isLarge(request.body)) sentOn.set(request.body, socket);
  });
}

export function isLarge(buffer: Buffer): boolean {
  return buffer.byteLength >= WORTH_FREEING;
}

/** Frees a buffer of our own that nobody else has: it is empty afterwards. Small ones are left to the collector. */
export function free(buffer: Buffer): void {
  if (isLarge(buffer)) detach(buffer);
}

function detach({ buffer }: Buffer): void {
  if (buffer instanceof ArrayBuffer) buffer.transfer(0);
}

const chunks: Buffer[] = [];

/** Frees a chunk that node's parser gave, and that nobody needs any more: soon, since the parser may still be at work on it. */
export function freeSoon(chunk: Buffer): void {
  if (chunk.length < CHUNK_WORTH_FREEING || chunk.length !== chunk.buffer.byteLength) return;
  if (chunks.length === 0) setImmediate(freeChunks);
  chunks.push(chunk);
}

function freeChunks(): void {
  for (const chunk of chunks.splice(0)) detach(chunk);
}

/** Frees one that was given to the upstream, if the kernel has all of it; an upstream may answer before that. */
export function freeOnceSent(buffer: Buffer): void {
  const socket = sentOn.get(buffer);
  if (socket !== undefined && !socket.destroyed && socket.writableLength === 0) free(buffer);
}
