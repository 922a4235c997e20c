// Slow, silent and greedy clients leave room for the honest.
// Clients that occupy connections or upstream slots and make no progress: some floods are larger than the limit, some
// are a few clients that ask for much. Honest clients must still be answered. Their waiting time is printed, not
// asserted.
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { type Flood, repeated } from '../support/load/flood.ts';
import {
  expectFlooded,
  expectUnhurt,
  flooded,
  loopbackCertificate,
  startFloodedProxy,
  WRONG_SIGNATURE,
} from '../support/load/flooded.ts';

const SLOW = 'GET /open/slow/300 HTTP/1.1\r\nHost: h\r\n\r\n';
const MOST_FILES = Number(/^Max open files\s+\S+\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1]);
/** 5,000 connections, and the files that a process has open besides. */
const hasFiles = MOST_FILES >= 6000;

describe('slow forwards', () => {
  test('1,900 at once on one connection', async () => {
    const proxy = await startFloodedProxy();
    const flood: Flood = { port: proxy.port, connections: 1, first: repeated(SLOW, 1900 * SLOW.length) };
    const outcome = await flooded(proxy, flood);
    expectFlooded(outcome, flood);
    expectUnhurt(outcome);
  });

  test('repeatedly on 300 connections', async () => {
    const proxy = await startFloodedProxy();
    // More than twice the upstream's 128 sockets: each would wait longer than the proxy allows.
    const first = Buffer.from(SLOW.replace('300', '3000'));
    const flood: Flood = { port: proxy.port, connections: 300, first, next: 'ask' };
    const outcome = await flooded(proxy, flood);
    expectFlooded(outcome, flood);
    expectUnhurt(outcome);
  });
});

describe('new TLS clients', () => {
  test.each([
    { connections: 1100, silent: true },
    { connections: 1100, silent: false },
    ...(hasFiles ? [{ connections: 5000, silent: true }] : []),
  ])('$connections connections, silent before their handshake: $silent', async ({ connections, silent }) => {
    const proxy = await startFloodedProxy({ tls: await loopbackCertificate() });
    const flood: Flood = { port: proxy.port, connections, ...(!silent && { tls: 'hello' }) };
    const outcome = await flooded(proxy, flood, { tls: true });
    expectFlooded(outcome, flood);
    expectUnhurt(outcome, { kept: connections > 1100 ? 0.97 : 1 });
  });

  // Five times as many handshakes a second as there is room for: the honest clients' share is printed, not promised.
  test.skipIf(!hasFiles)('5,000 half-open handshakes do not end the proxy', async () => {
    const proxy = await startFloodedProxy({ tls: await loopbackCertificate() });
    const flood: Flood = { port: proxy.port, connections: 5000, tls: 'hello' };
    const outcome = await flooded(proxy, flood, { tls: true });
    expectFlooded(outcome, flood);
    expect(outcome.state).toBe('alive');
  });
});

describe.skipIf(!hasFiles)('5,000 bodies at a byte a second', () => {
  test.each([
    ['verified', `POST /notify HTTP/1.1\r\nHost: h\r\nEntrupy-Signature: ${WRONG_SIGNATURE}`],
    ['forward', 'POST /open/x HTTP/1.1\r\nHost: h'],
  ])('on a %s route', async (_name, head) => {
    const proxy = await startFloodedProxy();
    const first = Buffer.from(`${head}\r\nContent-Length: 100000\r\n\r\n`);
    const flood: Flood = { port: proxy.port, connections: 5000, first, next: 'drip' };
    const outcome = await flooded(proxy, flood);
    expectFlooded(outcome, flood);
    expectUnhurt(outcome, { kept: 0.97, fresh: 0.99 });
  });
});

describe('1,000 connections to the admin port', () => {
  test.each([
    ['that send nothing', ''],
    ['with half a head', 'GET /livez HTTP/1.1\r\nHost: h\r\n'],
    ['that stay idle after a request', 'GET /livez HTTP/1.1\r\nHost: h\r\n\r\n'],
  ])('%s', async (_name, text) => {
    const proxy = await startFloodedProxy();
    const first = Buffer.from(text);
    const flood: Flood = { port: proxy.adminPort, connections: 1000, ...(text !== '' && { first }) };
    const outcome = await flooded(proxy, flood);
    expectFlooded(outcome, flood);
    expectUnhurt(outcome);
  });
});
