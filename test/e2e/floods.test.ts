// Floods: connections that fill the memory, occupy places, or ask for much and make no progress. Each lasts some seconds
// on its own proxy; honest clients and probes are answered throughout. Their waiting time is printed, not asserted.
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { get, post } from '../support/http/requests.ts';
import { clientHello, type Flood, repeated } from '../support/load/flood.ts';
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
/** All connections that a proxy takes. */
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

test.for(Object.entries(ROWS))('honest clients are served while %s', async ([, row]) => {
  const { to, tls, limit, shares = {}, fits, buffered = 0 } = row;
  const certificate = tls && { tls: await loopbackCertificate() };
  const proxy = await startFloodedProxy({ ...certificate, ...(limit !== undefined && { connections: limit }) });
  const flood: Flood = { port: to === 'admin' ? proxy.adminPort : proxy.port, ...row.flood };
  const outcome = await flooded(proxy, flood, tls && { tls });
  expectFlooded(outcome, flood);
  if (shares === null) expect(outcome.state).toBe('alive');
  else expectUnhurt(outcome, shares);
  if (fits) expectWithinMemory(outcome);
  expect(outcome.memory.socketBuffers).toBeGreaterThanOrEqual(buffered);
});
