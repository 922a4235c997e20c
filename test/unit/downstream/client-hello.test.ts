// How much of a ClientHello has come, however it is cut: TLS must not begin before it is whole, nor wait for more.
import { once } from 'node:events';
import { connect as connectTcp, createServer, type Socket } from 'node:net';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { connect } from 'node:tls';
import { beforeAll, expect, onTestFinished, test } from 'vitest';
import { ClientHello } from '../../../src/downstream/client-hello.ts';
import { Listener } from '../../../src/downstream/listener.ts';
import { leastCpu } from '../../support/machine/cpu-time.ts';
import { listening } from '../../support/machine/listening.ts';
import { limitsOver } from './fixtures.ts';

let real: Buffer;
beforeAll(async () => {
  const server = createServer();
  const { port, close } = await listening(server);
  const accepted = once(server, 'connection') as Promise<[Socket]>;
  const client = connect({ host: '127.0.0.1', port, servername: 'a.example' }).on('error', () => {});
  const [socket] = await accepted;
  [real] = await once(socket, 'data');
  client.destroy();
  await close();
});

/** What is found after each piece. */
function found(pieces: readonly (Buffer | number[])[]): string[] {
  const hello = new ClientHello();
  return pieces.map((piece) => hello.add(Buffer.from(piece)));
}

const bytewise = (bytes: Buffer) => Array.from(bytes, (byte) => [byte]);

/** The same message in records of `size` bytes each. */
function inRecords(size: number): Buffer {
  const message = real.subarray(5);
  const records: Buffer[] = [];
  for (let at = 0; at < message.length; at += size) {
    const fragment = message.subarray(at, at + size);
    records.push(Buffer.from([22, 3, 1, fragment.length >> 8, fragment.length & 255]), fragment);
  }
  return Buffer.concat(records);
}

test('A real one is whole at its last byte.', () => {
  expect(found([real])).toEqual(['whole']);
  const states = found(bytewise(real));
  expect(states.indexOf('whole')).toBe(real.length - 1);
  expect(new Set(states)).toEqual(new Set(['part', 'whole']));
});

test.each([1, 2, 3, 5, 100])('One in records of %i bytes is whole at its last byte.', (size) => {
  const states = found(bytewise(inRecords(size)));
  expect(states.indexOf('whole')).toBe(states.length - 1);
  expect(states).not.toContain('other');
});

test('What one costs that comes byte by byte in tiny records is linear in its bytes.', () => {
  const record = (byte: number) => [22, 3, 1, 0, 1, byte];
  const records = Buffer.from([1, 0, 255, 255, ...Array(2_700).fill(0)].flatMap(record));
  const cost = (size: number) => leastCpu(() => found(bytewise(records.subarray(0, size))));
  cost(4_000);
  expect(cost(16_000) / cost(2_000)).toBeLessThan(32); // linear is 8, the square would be 64
});

test('TLS begins only when it is whole, and gets its bytes as they came.', async () => {
  const listener = new Listener(limitsOver('TLS'), { onRequest() {}, onRequestEnd() {} });
  onTestFinished(() => listener.cutAll());
  const client = connectTcp(await listener.listen('127.0.0.1', 0), '127.0.0.1').setNoDelay(true);
  const states = new Set<string>();
  for (const byte of bytewise(real)) {
    for (const { state } of listener.list()) states.add(state);
    client.write(Buffer.from(byte));
    await nextTurn();
  }
  expect(states).toEqual(new Set(['silent']));
  const [[type]] = await once(client, 'data');
  expect(type).toBe(22); // no alert, which is 21
});

test('A handshake that never ends is ended after headersTimeout.', async () => {
  const listener = new Listener({ ...limitsOver('TLS'), headersTimeout: 1000 }, { onRequest() {}, onRequestEnd() {} });
  onTestFinished(() => listener.cutAll());
  const client = connectTcp(await listener.listen('127.0.0.1', 0), '127.0.0.1').on('error', () => {});
  client.write(real);
  const closed = once(client, 'close');
  await once(client, 'data'); // TLS has begun
  await closed;
});

test.each([
  ['plain HTTP', Buffer.from('GET / HTTP/1.1\r\n')],
  ['another record', Buffer.from([23, 3, 3, 0, 1, 0])],
  ['another version', Buffer.from([22, 2, 1, 0, 4])],
  ['another handshake message', Buffer.from([22, 3, 1, 0, 4, 2])],
  ['an empty record', Buffer.from([22, 3, 1, 0, 0])],
  ['a record that is too long', Buffer.from([22, 3, 1, 0x40, 1])],
])('TLS gets %s at once, for its alert.', (_name, bytes) => {
  expect(found([bytes])).toEqual(['other']);
});

test.each([
  ['one letter', Buffer.from('G')],
  ['four bytes of another protocol', Buffer.from('GET ')],
])('TLS does not begin for %s, which would take a place.', (_name, bytes) => {
  expect(found([bytes])).toEqual(['part']);
});

test('TLS gets one of more than 16 KiB before it is whole.', () => {
  const record = Buffer.concat([Buffer.from([22, 3, 1, 0x40, 0, 1, 0, 0xff, 0xff]), Buffer.alloc(16 * 1024 - 4)]);
  expect(found([record.subarray(0, 16 * 1024 - 1), record.subarray(16 * 1024 - 1)])).toEqual(['part', 'other']);
});
