import { once } from 'node:events';
import { type AddressInfo, connect, createServer, Socket } from 'node:net';
import fc from 'fast-check';
import { afterEach, expect, test } from 'vitest';
import { joinShortWrites } from '../../../src/http/joined.ts';

const open: { end(): unknown }[] = [];
afterEach(() => {
  for (const one of open.splice(0)) one.end();
});

/** A socket whose other side gathers what came. */
async function pair(): Promise<{ socket: Socket; came: () => Promise<Buffer> }> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
  const [other] = (await once(server, 'connection')) as [Socket];
  await (socket.connecting ? once(socket, 'connect') : null);
  open.push({ end: () => server.close() }, { end: () => socket.destroy() });
  const pieces: Buffer[] = [];
  other.on('data', (piece: Buffer) => pieces.push(piece));
  const came = async () => {
    socket.end();
    await once(other, 'end');
    return Buffer.concat(pieces);
  };
  return { socket, came };
}

type Write = { readonly text: string; readonly encoding: BufferEncoding } | { readonly bytes: Uint8Array };

const bytesOf = (write: Write) =>
  'bytes' in write ? Buffer.from(write.bytes) : Buffer.from(write.text, write.encoding);

const latin1 = fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes).toString('latin1'));
const anyWrite: fc.Arbitrary<Write> = fc.oneof(
  latin1.map((text) => ({ text, encoding: 'latin1' as const })),
  fc.string({ unit: 'grapheme', maxLength: 50 }).map((text) => ({ text, encoding: 'utf8' as const })),
  fc.uint8Array({ maxLength: 300 }).map((bytes) => ({ bytes })),
  fc.integer({ min: 3000, max: 9000 }).map((length) => ({ bytes: new Uint8Array(length).fill(length) })),
);

test('whatever is written at once, the other side gets its bytes, in order', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.array(anyWrite, { maxLength: 6 }), { maxLength: 4 }), async (ticks) => {
      const { socket, came } = await pair();
      joinShortWrites(socket);
      for (const writes of ticks) {
        socket.cork();
        for (const write of writes) {
          if ('bytes' in write) socket.write(Buffer.from(write.bytes));
          else socket.write(write.text, write.encoding);
        }
        socket.uncork();
      }
      const expected = Buffer.concat(ticks.flat().map(bytesOf));
      expect((await came()).equals(expected)).toBe(true);
    }),
    { numRuns: 60 },
  );
});

test('a head and a short body are one buffer for the system; with a long body nothing is copied', async () => {
  const { socket, came } = await pair();
  joinShortWrites(socket);
  const handed: string[] = [];
  const noting = (name: '_write' | '_writev') => {
    const original = (Socket.prototype as unknown as Record<string, (...all: never[]) => void>)[name];
    return (...all: never[]) => {
      handed.push(name);
      original?.apply(socket, all);
    };
  };
  Object.assign(socket, { _write: noting('_write') });
  Object.setPrototypeOf(socket, { __proto__: Socket.prototype, _writev: noting('_writev') });
  const send = (body: Buffer) => {
    socket.cork();
    socket.write('HEAD', 'latin1');
    socket.write(body);
    socket.uncork();
  };
  send(Buffer.from('body'));
  send(Buffer.alloc(5000, 'x'));
  expect((await came()).toString()).toBe(`HEADbodyHEAD${'x'.repeat(5000)}`);
  expect(handed).toEqual(['_write', '_writev']);
});

test('who waits for a write hears of it, and of its failure', async () => {
  const { socket } = await pair();
  joinShortWrites(socket);
  const written = Promise.withResolvers<Error | null | undefined>();
  socket.cork();
  socket.write('a', 'latin1');
  socket.write(Buffer.from('b'), written.resolve);
  socket.uncork();
  expect(await written.promise).toBeFalsy();
  const failed = Promise.withResolvers<Error | null | undefined>();
  socket.on('error', () => {});
  socket.cork();
  socket.write('a', 'latin1');
  socket.write(Buffer.from('b'), failed.resolve);
  socket.destroy();
  expect(await failed.promise).toBeInstanceOf(Error);
});
