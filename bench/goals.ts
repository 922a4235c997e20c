// The goals for one core (verified 1 KiB POSTs, 32 connections, metrics on), and whether a run met them.
import type { Load } from './harness/load.ts';
import type { Results } from './harness/measure.ts';
import { type Figure, figure, ratio, type Spread, spread } from './harness/samples.ts';
import { BY_ROUTES, BY_SECRETS, FLOOD, FRESH, FRESH_NEW, KIB, LARGE, load, MIB, USUAL } from './plan.ts';
import {
  BARE_PROXYING,
  BARE_SERVER,
  FASTIFY,
  FLOOR,
  HTTP_PROXY_3,
  LEAN_SERVER,
  NET_SERVER,
  NGINX_NJS,
  OURS,
  type Subject,
} from './subjects.ts';

export interface Goal {
  readonly what: string;
  readonly limit: string;
  /** NaN if the run lacks the data. */
  readonly found: Spread;
  readonly unit: '×' | 'MiB';
  readonly met: boolean;
}

/** `hmac`: CPU microseconds of one bare HMAC, by bytes. */
export function goalsOf(results: Results, hmac: ReadonlyMap<number, Spread>): Goal[] {
  const usual = (subject: Subject) => results.of(subject, USUAL);
  const against = (subject: Subject, name: Figure) => ratio(usual(OURS), usual(subject), name);
  const at = (load: Load, subject: Subject) => ratio(results.of(OURS, load), results.of(subject, load), 'cpuMicros');
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
    atMost('CPU a request, to the floor', against(FLOOR, 'cpuMicros'), 0.75),
    atMost('the same, 256 connections', at(load(KIB, 256), FLOOR), 0.8),
    atMost('the same, one connection', at(load(KIB, 1), FLOOR), 0.9),
    atMost('CPU a request, to nginx with njs', against(NGINX_NJS, 'cpuMicros'), 1.3),
    atMost('the same, one connection', at(load(KIB, 1), NGINX_NJS), 1.3),
    atMost('a fresh process at 100/s, to the floor, kept connections', at(FRESH, FLOOR), 0.75),
    atMost('a fresh process at 100/s, to the floor, new connections', at(FRESH_NEW, FLOOR), 0.75),
    atLeast('CPU a request, http-proxy-3 to ours', betterThan(HTTP_PROXY_3), 2.5),
    atLeast('CPU a request, @fastify/http-proxy to ours', betterThan(FASTIFY), 1.6),
    atMost('CPU to refuse a missing signature, to an accepted request of the floor', refusing(results), 0.35),
    atMost('RSS idle, to a bare node:http server', against(BARE_SERVER, 'rssIdle'), 1.25),
    atMost('RSS idle, to one without node’s own undici', against(LEAN_SERVER, 'rssIdle'), 1.25),
    atMost('RSS idle, to a bare node:net server', against(NET_SERVER, 'rssIdle'), 1.35),
    mebibytes('RSS after load, 32 connections', figure(usual(OURS), 'rssAfter'), 100),
    mebibytes('RSS after load, 256 connections', figure(results.of(OURS, load(KIB, 256)), 'rssAfter'), 120),
    atMost('exec to ready, to a bare node:http server', against(BARE_SERVER, 'startMillis'), 2),
    atMost('exec to ready, to one without node’s own undici', against(LEAN_SERVER, 'startMillis'), 2),
    atMost('CPU of a 1 MiB body, to the bare HMAC and the bare proxying of it', largeRatio, 1.15),
    atMost('CPU with 1,000 routes, to 1', routes === undefined ? NONE : flat(results, routes.subject), 1.1),
    atMost('CPU of each further secret, to a bare HMAC', eachSecret, 1.5),
  ];
}

const NONE = spread([]);

function refusing(results: Results): Spread {
  return ratio(results.of(OURS, FLOOD), results.of(FLOOR, USUAL), 'cpuMicros');
}

function flat(results: Results, many: Subject): Spread {
  return ratio(results.of(many, USUAL), results.of(OURS, USUAL), 'cpuMicros');
}

function mebibytes(what: string, found: Spread, limit: number): Goal {
  return { ...atMost(what, found, limit), limit: `at most ${limit} MiB`, unit: 'MiB' };
}

function atMost(what: string, found: Spread, limit: number): Goal {
  return { what, limit: `at most ${limit} ×`, found, unit: '×', met: found.median <= limit };
}

function atLeast(what: string, found: Spread, limit: number): Goal {
  return { what, limit: `at least ${limit} ×`, found, unit: '×', met: found.median >= limit };
}
