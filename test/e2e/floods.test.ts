// Floods: connections that fill the memory, occupy places, or ask for much and make no progress. Each lasts some seconds
// on its own proxy, as it ships: the build, with the image's flags and the byte budget and heap of a container of 128 MiB.
// Honest clients and probes are answered throughout. Their waiting time is printed, not asserted.
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'vitest';
import { honestUntil, probeUntil, type Tally } from '../load/honest.ts';
import { SECRET, sign } from '../support/deliveries/signer.ts';
import { get, post } from '../support/http/requests.ts';
import { clientHello, type Flood, type FloodReport, repeated, startFlood } from '../support/load/flood.ts';
import { type MemoryPeak, watchMemory } from '../support/machine/memory.ts';
import { IMAGE_ENV, IMAGE_FLAGS } from '../support/proxy/image-env.ts';
import { builtProgram } from '../support/proxy/program.ts';
import { test } from '../support/proxy/proxied.ts';
import type { RunningProxy } from '../support/proxy/proxy.ts';
import { loopbackIdentity } from '../support/tls/certificates.ts';

const MIB = 2 ** 20;
/** Half of 128 MiB: the result of `--max-old-space-size-percentage` in the chart's container. */
const HEAP_MIB = 64;
const BUDGET = '32MiB';
/** The rest of a container's 128 MiB is for the program's files and the kernel's buffers. */
const MOST_ANONYMOUS_MIB = 110;
/** Once all connections of the flood have been opened. */
const FLOOD_MS = 4_000;
/** A response counts as missing: longer than any flood, also on a busy machine. */
const TIMEOUT_MS = 60_000;
const BODY = JSON.stringify({ event: 'honest', filler: 'x'.repeat(1000) });

/** A well-formed signature that matches no body. */
const WRONG_SIGNATURE = sign(SECRET, 'something else');

const KIB = 1024;
const ALL = 1024;
const MOST_FILES = Number(/^Max open files\s+\S+\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1]);
/** 5,000 connections, and the files that a process has open besides. */
const hasFiles = MOST_FILES >= 6000;

interface Row {
  readonly to?: 'admin';
  /** The proxy and its honest clients speak TLS. */
  readonly tls?: true;
  /** `limits.connections`. */
  readonly limit?: number;
  readonly flood: Omit<Flood, 'port'>;
  /** The least share of honest deliveries that are answered; null: not even that is promised, the proxy stays alive. */
  readonly shares?: { readonly kept?: number; readonly fresh?: number } | null;
  /** It fits into the memory of its container, too. */
  readonly fits?: true;
  /** Bytes that the kernel must have held: answers were being sent. */
  readonly buffered?: number;
}

const wrong = [`Entrupy-Signature: ${WRONG_SIGNATURE}`];
const slow = (milliseconds: number) => get(`/open/slow/${milliseconds}`);
/** A read of 64 KiB can hold 1,900 requests: started all at once, 30 connections would end the process. */
const PIPELINED = repeated(get('/nope'), 64 * KIB);
const pipelines = (connections: number, deaf = false) =>
  ({ fits: true, flood: { connections, first: PIPELINED, next: 'pour', deaf } }) as const;
const dripping = (head: string) => {
  const first = Buffer.from(`${head}\r\nContent-Length: 100000\r\n\r\n`);
  const flood = { connections: 5000, first, next: { drip: 'x', every: 1000 } };
  return { shares: { kept: 0.97, fresh: 0.99 }, flood } as const;
};
const hello = await clientHello();

const ROWS: Readonly<Record<string, Row>> = {
  '30 connections pipeline without end': pipelines(30),
  '30 connections pipeline without end and read nothing': pipelines(30, true),
  '1,024 connections pipeline without end': pipelines(ALL),
  '1,024 connections pipeline without end and read nothing': pipelines(ALL, true),
  '200 connections pipeline without end to the admin port': { ...pipelines(200), to: 'admin' },
  '200 connections pipeline without end to the admin port and read nothing': { ...pipelines(200, true), to: 'admin' },
  '400 connections send bodies of 1 MiB with wrong signatures': {
    fits: true,
    flood: { connections: 400, first: Buffer.from(post('x'.repeat(MIB), { lines: wrong })), next: 'ask' },
  },
  // A connection with a request in flight makes no room, so honest clients need connections beside the flood.
  '1,024 connections send 64 KiB behind a request in flight': {
    fits: true,
    limit: ALL + 100,
    flood: { connections: ALL, first: repeated(slow(3000), 64 * KIB) },
  },
  '1,000 clients do not read a large response, whose bytes the kernel holds': {
    fits: true,
    buffered: MIB,
    flood: { connections: 1000, first: Buffer.from(get(`/open/${32 * MIB}`)), deaf: true },
  },
  'one connection asks for 1,900 slow answers at once': {
    flood: { connections: 1, first: repeated(slow(300), 1900 * slow(300).length) },
  },
  // More than twice the upstream's 128 sockets: each would wait longer than the proxy allows.
  '300 connections ask for slow answers again and again': {
    flood: { connections: 300, first: Buffer.from(slow(3000)), next: 'ask' },
  },
  '1,024 connections stay idle behind a TLS handshake': {
    tls: true,
    fits: true,
    flood: { connections: ALL, tls: true },
  },
  '1,500 connections send header lines without end': {
    flood: {
      connections: 1500,
      first: Buffer.from(get('/open/0').slice(0, -2)),
      next: { drip: 'a: b\r\n', every: 1000 },
    },
  },
  '1,100 connections begin no TLS handshake': { tls: true, flood: { connections: 1100 } },
  '1,100 connections finish no TLS handshake': { tls: true, fits: true, flood: { connections: 1100, first: hello } },
  '1,000 connections to the admin port send nothing': { to: 'admin', flood: { connections: 1000 } },
  '1,000 connections to the admin port send half a head': {
    to: 'admin',
    flood: { connections: 1000, first: Buffer.from(get('/livez').slice(0, -2)) },
  },
  '1,000 connections to the admin port stay idle after a request': {
    to: 'admin',
    flood: { connections: 1000, first: Buffer.from(get('/livez')) },
  },
  ...(hasFiles && {
    '5,000 connections begin no TLS handshake': { tls: true, shares: { kept: 0.97 }, flood: { connections: 5000 } },
    // Five times as many handshakes a second as there is room for.
    '5,000 connections finish no TLS handshake': {
      tls: true,
      shares: null,
      flood: { connections: 5000, first: hello },
    },
    '5,000 verified bodies come at a byte a second': dripping(`POST /notify HTTP/1.1\r\nHost: h\r\n${wrong}`),
    '5,000 forwarded bodies come at a byte a second': dripping('POST /open/x HTTP/1.1\r\nHost: h'),
  }),
};

test.for(Object.entries(ROWS))(
  'honest clients are served while %s',
  async ([, row], { directory, streams, proxyTo }) => {
    const { to, tls, limit, shares = {}, fits, buffered = 0 } = row;
    const proxy = await proxyTo(
      streams,
      {
        listen: tls && { tls: loopbackIdentity(directory).pair },
        limits: { bufferedBytes: BUDGET, ...(limit !== undefined && { connections: limit }) },
      },
      { program: builtProgram(), flags: [...IMAGE_FLAGS, `--max-old-space-size=${HEAP_MIB}`], env: IMAGE_ENV },
    );
    const flood: Flood = { port: to === 'admin' ? proxy.adminPort : proxy.port, ...row.flood };
    const outcome = await flooded(proxy, flood, tls && { tls });
    expect.soft(outcome.attackers.opened, 'connections of the flood').toBeGreaterThanOrEqual(flood.connections);
    if (shares === null) expect(outcome.isAlive).toBe(true);
    else expectUnhurt(outcome, shares);
    const { anonymous, socketBuffers } = outcome.memory;
    if (fits) expect.soft(anonymous / MIB, 'MiB of anonymous memory').toBeLessThanOrEqual(MOST_ANONYMOUS_MIB);
    expect(socketBuffers).toBeGreaterThanOrEqual(buffered);
  },
);

interface Outcome {
  readonly isAlive: boolean;
  readonly memory: MemoryPeak;
  /** Deliveries on kept connections and on new ones. */
  readonly kept: Tally;
  readonly fresh: Tally;
  readonly probes: Tally;
  readonly attackers: FloodReport;
}

/** Floods it for some seconds and prints the results. `tls`: how the honest clients connect. */
async function flooded(proxy: RunningProxy, flood: Flood, honest: { readonly tls?: true } = {}): Promise<Outcome> {
  const memory = watchMemory(proxy.pid);
  const attackers = await startFlood(flood);
  const signature = sign(SECRET, BODY);
  const clients = { port: proxy.port, clients: 3, pause: 100, body: BODY, signature, timeout: TIMEOUT_MS, ...honest };
  const over = attackers.full.then(() => sleep(FLOOD_MS));
  const [kept, fresh, probes] = await Promise.all([
    honestUntil(over, clients),
    honestUntil(over, { ...clients, fresh: true }),
    probeUntil(over, { adminPort: proxy.adminPort, pause: 200, timeout: TIMEOUT_MS }),
  ]);
  const peak = memory.stop();
  const report = await attackers.stop();
  const alive = await fetch(`${proxy.adminUrl}/livez`, { signal: AbortSignal.timeout(TIMEOUT_MS) }).catch(() => null);
  const outcome = { isAlive: alive?.ok === true, memory: peak, kept, fresh, probes, attackers: report };
  show(outcome);
  if (!outcome.isAlive) console.log(proxy.output().slice(-1000));
  return outcome;
}

function show({ isAlive, memory, attackers, ...tallies }: Outcome): void {
  const mib = (bytes: number) => `${Math.round(bytes / MIB)} MiB`;
  console.log(
    [
      `${isAlive ? 'alive' : 'hangs or has ended'}, ${mib(memory.anonymous)} anonymous at most, ${mib(memory.socketBuffers)} in socket buffers`,
      `attackers: ${attackers.opened} opened, ${attackers.ended} ended, ${mib(attackers.bytesSent)} sent, first answers ${JSON.stringify(attackers.answers)}`,
      ...Object.entries(tallies).map(([who, tally]) => `${who}: ${described(tally)}`),
    ].join('\n'),
  );
}

function successRate({ times, failures }: Tally): number {
  const failed = Object.values(failures).reduce((sum, count) => sum + count, 0);
  return times.length / (times.length + failed || 1);
}

function described({ times, failures }: Tally): string {
  const [middle, last] = [0.5, 1].map((part) => times.toSorted((a, b) => a - b)[Math.ceil(times.length * part) - 1]);
  return `${times.length} answered, half within ${middle?.toFixed(0)} ms, all within ${last?.toFixed(0)} ms; failed: ${JSON.stringify(failures)}`;
}

/**
 * The proxy is alive, every probe was answered, and so was at least this share of the honest deliveries of each kind:
 * all of them unless given. With ever new connections, an idle one can be closed at the moment in which its client sends:
 * `kept` may be less.
 */
function expectUnhurt(outcome: Outcome, shares: { readonly kept?: number; readonly fresh?: number } = {}): void {
  expect.soft(outcome.isAlive, 'the proxy is alive').toBe(true);
  expect.soft(outcome.probes.times.length, 'probes answered').toBeGreaterThan(0);
  expect.soft(outcome.probes.failures, 'probes that failed').toEqual({});
  for (const who of ['kept', 'fresh'] as const) {
    const tally = outcome[who];
    expect.soft(tally.times.length, `deliveries answered, ${who}`).toBeGreaterThan(0);
    expect
      .soft(successRate(tally), `share answered, ${who}: ${described(tally)}`)
      .toBeGreaterThanOrEqual(shares[who] ?? 1);
  }
}
