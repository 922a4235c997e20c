// The goals for one core, verified 1 KiB POSTs, 32 connections, metrics on; and whether a run met them.
import type { Results } from './harness/measure.ts';
import { type Figure, figure, ratio, type Spread, spread } from './harness/samples.ts';
import { BY_ROUTES, BY_SECRETS, FLOOD, KIB, LARGE, MIB, USUAL } from './plan.ts';
import {
  BARE_PROXYING,
  BARE_SERVER,
  FASTIFY,
  FLOOR,
  HTTP_PROXY_3,
  LEAN_SERVER,
  OURS,
  type Subject,
} from './subjects.ts';

export interface Goal {
  readonly what: string;
  readonly limit: string;
  /** Not a number where the run lacks what it takes. */
  readonly found: Spread;
  readonly unit: '×' | 'MiB';
  readonly met: boolean;
}

/** `hmac`: CPU microseconds of one bare HMAC, by bytes. */
export function goalsOf(results: Results, hmac: ReadonlyMap<number, Spread>): Goal[] {
  const usual = (subject: Subject) => results.of(subject, USUAL);
  const against = (subject: Subject, name: Figure) => ratio(usual(OURS), usual(subject), name);
  const betterThan = (subject: Subject) => ratio(usual(subject), usual(OURS), 'cpuMicros');
  const bare = (size: number) => hmac.get(size)?.median ?? Number.NaN;

  const large = results.of(OURS, LARGE);
  const proxying = results.of(BARE_PROXYING, LARGE);
  const largeRatio = spread(
    large.map((sample, index) => sample.cpuMicros / ((proxying[index]?.cpuMicros ?? Number.NaN) + bare(MIB))),
  );
  const routes = BY_ROUTES.find(({ routes }) => routes === 1000);
  const secrets = BY_SECRETS.find(({ secrets }) => secrets === 5);
  const manySecrets = secrets === undefined ? [] : usual(secrets.subject);
  const eachSecret = spread(
    manySecrets.map(
      (sample, index) => (sample.cpuMicros - (usual(OURS)[index]?.cpuMicros ?? Number.NaN)) / 4 / bare(KIB),
    ),
  );
  return [
    atMost('CPU a request, to the floor', against(FLOOR, 'cpuMicros'), 1.15),
    atLeast('CPU a request, http-proxy-3 to ours', betterThan(HTTP_PROXY_3), 2.5),
    atLeast('CPU a request, @fastify/http-proxy to ours', betterThan(FASTIFY), 1.6),
    atMost('CPU to refuse a missing signature, to an accepted request', refusing(results), 0.6),
    atMost('RSS idle, to a bare node:http server', against(BARE_SERVER, 'rssIdle'), 1.25),
    atMost('RSS idle, to one without node’s own undici', against(LEAN_SERVER, 'rssIdle'), 1.25),
    { ...atMost('RSS after load', figure(usual(OURS), 'rssAfter'), 100), limit: 'at most 100 MiB', unit: 'MiB' },
    atMost('exec to ready, to a bare node:http server', against(BARE_SERVER, 'startMillis'), 2),
    atMost('exec to ready, to one without node’s own undici', against(LEAN_SERVER, 'startMillis'), 2),
    atMost('CPU of a 1 MiB body, to the bare HMAC and the bare proxying of it', largeRatio, 1.3),
    atMost('CPU with 1,000 routes, to 1', routes === undefined ? NONE : flat(results, routes.subject), 1.1),
    atMost('CPU of each further secret, to a bare HMAC', eachSecret, 1.5),
  ];
}

const NONE = spread([]);

function refusing(results: Results): Spread {
  return ratio(results.of(OURS, FLOOD), results.of(OURS, USUAL), 'cpuMicros');
}

function flat(results: Results, many: Subject): Spread {
  return ratio(results.of(many, USUAL), results.of(OURS, USUAL), 'cpuMicros');
}

function atMost(what: string, found: Spread, limit: number): Goal {
  return { what, limit: `at most ${limit} ×`, found, unit: '×', met: found.median <= limit };
}

function atLeast(what: string, found: Spread, limit: number): Goal {
  return { what, limit: `at least ${limit} ×`, found, unit: '×', met: found.median >= limit };
}
