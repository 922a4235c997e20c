// An upstream on raw sockets that does exactly what a test says, at each point of a request: for servers that
// misbehave. It records the head of each request, whatever happens to it.
import { createServer, type Server, type Socket } from 'node:net';
import { freePort } from '../machine/free-port.ts';

/** Called once a request's head has arrived. `body` holds the bytes that came with it. */
export type Script = (socket: Socket, request: { readonly head: string; readonly body: Buffer }) => void;

export type RawUpstream = Awaited<ReturnType<typeof startRawUpstream>>;

export const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';

/** `path`: a unix socket instead of a free loopback port. */
export async function startRawUpstream(path?: string) {
  const heads: string[] = [];
  const all = new Set<Socket>();
  const sockets = new Set<Socket>();
  let run: Script = (socket) => socket.write(OK);
  const onConnection = (socket: Socket) => {
    all.add(socket);
    let waiting = '';
    socket.on('close', () => {
      all.delete(socket);
      sockets.delete(socket);
    });
    socket.on('end', () => {
      if (!sockets.has(socket)) socket.destroy();
    });
    socket.on('error', () => socket.destroy());
    socket.on('data', (piece: Buffer) => {
      sockets.add(socket);
      waiting += piece.toString('latin1');
      const end = waiting.indexOf('\r\n\r\n');
      // The bytes read with a head count as its body, which is enough for tests that do not pipeline.
      if (end === -1) return;
      const [head, body] = [waiting.slice(0, end + 4), waiting.slice(end + 4)];
      waiting = '';
      if (!/^[A-Z]+ \S+ HTTP\/1\.1\r\n/.test(head)) return;
      heads.push(head);
      run(socket, { head, body: Buffer.from(body, 'latin1') });
    });
  };
  let server: Server;
  const port = path === undefined ? await freePort() : 0;
  const listen = () =>
    new Promise<void>((resolve, reject) => {
      server = createServer({ allowHalfOpen: true }, onConnection);
      server.once('error', reject);
      server.listen(path === undefined ? { port, host: '127.0.0.1' } : { path }, resolve);
    });
  const stop = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve());
      for (const socket of all) socket.destroy();
    });
  const script = (next: Script) => {
    run = next;
  };
  const nextChunked = () =>
    new Promise<string>((resolve) => {
      script((socket, { body }) => {
        let text = body.toString('latin1');
        const look = () => {
          if (!text.endsWith('\r\n0\r\n\r\n')) return;
          resolve(text);
          socket.write(OK);
        };
        socket.on('data', (piece: Buffer) => {
          text += piece.toString('latin1');
          look();
        });
        look();
      });
    });
  await listen();
  return {
    port,
    url: path === undefined ? `http://127.0.0.1:${port}` : `unix://${path}`,
    /** The heads of all requests, in order. */
    heads,
    /** The currently open sockets that have sent a byte: the proxy also connects to see whether the upstream is there. */
    sockets,
    /** Sets what to do with the next requests. */
    script,
    /** The next body in chunks, framing and all, once it is whole; it gets 200. */
    nextChunked,
    /** Stops listening and drops every connection, as a restart does. The port stays its own for `listen`. */
    stop,
    listen,
    close: stop,
  };
}
