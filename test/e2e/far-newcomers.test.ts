// Newcomers far away get in.
// A storm of new connections from one address, while a client far away wants to get in. Handshakes that end when the
// next few begin keep out whoever needs a round trip for his: room comes from the address that holds most.
import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { describe, expect, onTestFinished, test } from 'vitest';
import { parseResponse } from '../support/http/response-parser.ts';
import { clientHello, startFlood } from '../support/load/flood.ts';
import { loopbackCertificate, startFloodedProxy } from '../support/load/flooded.ts';
import { startRelay } from '../support/load/relay.ts';
import type { Listening } from '../support/machine/listening.ts';

const RATE = 1000;
const ROUND_TRIP_MS = 200;
const NEWCOMERS = 15;
/** So that the storm is at its height. */
const FIRST_MS = 1500;
const PATIENCE_MS = 10_000;
/** Between two newcomers. */
const EVERY_MS = 300;
const STORM_FROM = '127.0.0.2';
const FAR_FROM = '127.0.0.3';
const GET = 'GET /open/0 HTTP/1.1\r\nHost: h\r\n\r\n';
/** The first byte of a TLS record with a handshake. */
const ONE_BYTE = Buffer.from([0x16]);
const STORM = { connections: RATE, endless: true, from: STORM_FROM } as const;
const hello = await clientHello();

const settled = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** The status, or how the connection failed. */
function ask(socket: Socket, ready: 'connect' | 'secureConnect'): Promise<number | string> {
  return new Promise((resolve) => {
    let read: Buffer = Buffer.alloc(0);
    const end = (outcome: number | string) => {
      clearTimeout(timer);
      socket.destroy();
      resolve(outcome);
    };
    const timer = setTimeout(end, PATIENCE_MS, 'silence');
    socket.once(ready, () => socket.write(GET));
    socket.on('data', (piece: Buffer) => {
      read = Buffer.concat([read, piece]);
      const parsed = parseResponse(read);
      if (parsed !== null) end(parsed.response.status);
    });
    socket.on('error', (error: NodeJS.ErrnoException) => end(error.code ?? error.message));
    socket.on('close', () => end('closed'));
  });
}

function far({ port }: Listening, maxVersion: 'TLSv1.2' | 'TLSv1.3' | 'plain TCP'): Promise<number | string> {
  const to = { port, host: '127.0.0.1' };
  if (maxVersion === 'plain TCP') return ask(connectTcp(to), 'connect');
  return ask(connectTls({ ...to, rejectUnauthorized: false, maxVersion }), 'secureConnect');
}

/** One newcomer each 300 ms; how many got an answer is printed. */
async function newcomers(what: string, come: () => Promise<number | string>): Promise<(number | string)[]> {
  const coming: Promise<number | string>[] = [];
  for (let nth = 0; nth < NEWCOMERS; nth++) {
    coming.push(come());
    await settled(EVERY_MS);
  }
  const outcomes = await Promise.all(coming);
  const kinds = [...new Set(outcomes)].map((kind) => `${kind} × ${outcomes.filter((one) => one === kind).length}`);
  console.log(`${what}: ${outcomes.filter((one) => one === 200).length} of ${NEWCOMERS} got in (${kinds.join(', ')})`);
  return outcomes;
}

describe(`${RATE} new connections a second from one address, and a client ${ROUND_TRIP_MS} ms away`, () => {
  test.for([
    ['a byte each', 'TLSv1.3', ONE_BYTE],
    ['half a ClientHello each', 'TLSv1.3', hello.subarray(0, 100)],
    ['a ClientHello each', 'TLSv1.3', hello],
    ['a ClientHello each', 'TLSv1.2', hello],
    ['nothing each', 'TLSv1.3', undefined],
    ['a byte each', 'plain TCP', ONE_BYTE],
  ] as const)('with %s, it gets in by %s', async ([what, version, first]) => {
    const proxy = await startFloodedProxy(version === 'plain TCP' ? {} : { tls: await loopbackCertificate() });
    const relay = await startRelay(proxy.port, FAR_FROM, ROUND_TRIP_MS);
    onTestFinished(() => relay.close());
    const storm = await startFlood({ ...STORM, port: proxy.port, ...(first && { first }) });
    await settled(FIRST_MS);
    const outcomes = await newcomers(`${what}, ${version}`, () => far(relay, version));
    const report = await storm.stop();
    console.log(report);
    expect.soft(report.opened).toBeGreaterThan(RATE);
    expect(outcomes).toEqual(Array(NEWCOMERS).fill(200));
  });
});

describe('a balancer in front, where all clients have one address', () => {
  test('its idle connections are not what pays for a storm that comes through it', async () => {
    const proxy = await startFloodedProxy({ tls: await loopbackCertificate() });
    const idle = Array.from({ length: 200 }, () =>
      connectTls({
        // The address is the storm's, too.
        socket: connectTcp({ port: proxy.port, host: '127.0.0.1', localAddress: STORM_FROM }),
        rejectUnauthorized: false,
      }),
    );
    onTestFinished(() => {
      for (const socket of idle) socket.destroy();
    });
    let ended = 0;
    const used = idle.map(
      (socket) =>
        new Promise<void>((resolve) => {
          socket.on('error', () => {});
          socket.once('close', () => ended++);
          socket.once('secureConnect', () => socket.write(GET));
          socket.once('data', () => resolve());
        }),
    );
    await Promise.all(used);
    const storm = await startFlood({ ...STORM, port: proxy.port, first: ONE_BYTE });
    await settled(FIRST_MS * 4);
    const report = await storm.stop();
    // More than there is room for.
    expect(report.opened).toBeGreaterThan(2 * 1024);
    expect(ended).toBe(0);
  });
});
