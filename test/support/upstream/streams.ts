// An upstream that swallows and produces bodies of any size without holding them, and a client side that counts.
import { once } from 'node:events';
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { listening } from '../machine/listening.ts';

const PIECE = Buffer.alloc(64 * 1024, 'entrupy-');

/** `bytes` of a repeating text, in pieces made on demand. */
export function bytesOf(bytes: number): Readable {
  let left = bytes;
  return new Readable({
    highWaterMark: PIECE.length,
    read() {
      const size = Math.min(left, PIECE.length);
      left -= size;
      this.push(size === 0 ? null : PIECE.subarray(0, size));
    },
  });
}

/**
 * `POST …` swallows the body and responds with its length. `GET …/<bytes>` responds with that many bytes, with a
 * length. `…/deaf` never reads, `…/early` responds 413 before the body arrives.
 */
export async function startStreamingUpstream() {
  let given = 0;
  const ends: ('whole' | 'broken')[] = [];
  const swallow = (incoming: IncomingMessage, response: ServerResponse) => {
    let length = 0;
    incoming.on('data', (piece: Buffer) => {
      length += piece.length;
    });
    incoming.once('error', () => {});
    incoming.once('close', () => ends.push(incoming.complete ? 'whole' : 'broken'));
    incoming.once('end', () => response.end(String(length)));
  };
  const server = createServer((incoming, response) => {
    const { pathname } = new URL(incoming.url ?? '/', 'http://h');
    if (pathname.endsWith('/deaf')) return;
    if (pathname.endsWith('/early')) {
      response.writeHead(413, { 'content-length': 5 }).end('early');
      return;
    }
    if (incoming.method === 'POST') return swallow(incoming, response);
    const bytes = Number(pathname.split('/').at(-1));
    response.setHeader('content-length', bytes);
    const body = bytesOf(bytes).on('data', (piece: Buffer) => {
      given += piece.length;
    });
    pipeline(body.pause(), response).catch(() => {});
  });
  const { port, close } = await listening(server);
  return {
    port,
    url: `http://127.0.0.1:${port}`,
    /** Bytes of response bodies that it has handed to its sockets. */
    get given() {
      return given;
    },
    /** How each request body ended: complete or not. */
    ends,
    close,
  };
}

/** Sends `bytes` in chunks; returns the response's body. */
export async function upload(port: number, { path, bytes }: { path: string; bytes: number }): Promise<string> {
  const outgoing = request({ port, path, method: 'POST', agent: false });
  const answered = once(outgoing, 'response') as Promise<[IncomingMessage]>;
  const [[response]] = await Promise.all([answered, pipeline(bytesOf(bytes), outgoing)]);
  return text(response);
}

/** Reads a response to its end; returns the size of its body. Rejects if it breaks off. */
export async function download(port: number, path: string): Promise<number> {
  const [response] = (await once(request({ port, path, agent: false }).end(), 'response')) as [IncomingMessage];
  let length = 0;
  for await (const piece of response) length += (piece as Buffer).length;
  return length;
}
