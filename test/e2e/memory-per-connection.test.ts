// Bodies, handshakes and answers that nobody reads do not fill the memory.
// What one connection can make the proxy hold in memory: a body up to its length, a handshake, bytes behind a request in
// flight, an unread response. Each flood fills every available connection with one of them, for nine seconds.

import { expect, test } from 'vitest';
import { get } from '../support/http/requests.ts';
import { type Flood, repeated } from '../support/load/flood.ts';
import {
  expectFlooded,
  expectUnhurt,
  expectWithinMemory,
  flooded,
  loopbackCertificate,
  startFloodedProxy,
  WRONG_SIGNATURE,
} from '../support/load/flooded.ts';

const KIB = 1024;
const MIB = 1024 * KIB;
const ALL = 1024;
const SLOW_MS = 3000;

test.each([200, 400])('%i connections with bodies of 1 MiB and wrong signatures', async (connections) => {
  const proxy = await startFloodedProxy();
  const head = `POST /notify HTTP/1.1\r\nHost: h\r\nEntrupy-Signature: ${WRONG_SIGNATURE}\r\nContent-Length: ${MIB}\r\n\r\n`;
  const first = Buffer.concat([Buffer.from(head), Buffer.alloc(MIB, 'x')]);
  const flood: Flood = { port: proxy.port, connections, first, next: 'ask' };
  const outcome = await flooded(proxy, flood);
  expectFlooded(outcome, flood);
  expectUnhurt(outcome);
  expectWithinMemory(outcome);
});

test.each([
  ['half-done', 'hello'],
  ['idle behind a finished', 'finished'],
] as const)('1,024 connections, %s TLS handshake', async (_name, tls) => {
  const proxy = await startFloodedProxy({ tls: await loopbackCertificate() });
  const flood: Flood = { port: proxy.port, connections: ALL, tls };
  const outcome = await flooded(proxy, flood, { tls: true });
  expectFlooded(outcome, flood);
  expectUnhurt(outcome);
  expectWithinMemory(outcome);
});

test('1,024 connections with 64 KiB behind a request in flight', async () => {
  // A connection with a request in flight makes no room, so honest clients need connections beside the flood.
  const proxy = await startFloodedProxy({ connections: ALL + 100 });
  const first = repeated(get(`/open/slow/${SLOW_MS}`), 64 * KIB);
  const flood: Flood = { port: proxy.port, connections: ALL, first };
  const outcome = await flooded(proxy, flood);
  expectFlooded(outcome, flood);
  expectUnhurt(outcome);
  expectWithinMemory(outcome);
});

test('1,000 clients that do not read a large response, whose bytes the kernel holds', async () => {
  const proxy = await startFloodedProxy();
  const first = Buffer.from(get(`/open/${32 * MIB}`));
  const flood: Flood = { port: proxy.port, connections: 1000, first, deaf: true };
  const outcome = await flooded(proxy, flood);
  expectFlooded(outcome, flood);
  expectUnhurt(outcome);
  expectWithinMemory(outcome);
  // Responses were being sent: the kernel held some.
  expect(outcome.memory.socketBuffers).toBeGreaterThan(MIB);
});
