// The goals for one core, and whether a run met them: CPU of a verified 1 KiB POST with metrics on, where nothing else
// is said.
import type { Load } from './harness/load.ts';
import type { Results } from './harness/measure.ts';
import { figure, ratio, type Spread, spread } from './harness/samples.ts';
import {
  BY_ROUTES,
  FLOOD,
  FRESH,
  FRESH_NEW,
  KIB,
  LARGE,
  load,
  MIDDLE,
  NEW_EVENTS,
  START,
  USUAL,
  WRONG,
} from './plan.ts';
import { BARE_PROXYING, BARE_SERVER, FLOOR, NGINX_NJS, ONCE_IN_MEMORY, OURS, type Subject } from './subjects.ts';

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
  const to = (subject: Subject, load: Load) => ratio(results.of(OURS, load), results.of(subject, load), 'cpuMicros');
  const bare = (size: number) => hmac.get(size)?.median ?? Number.NaN;
  /** To the bare proxying of such a body, and its bare HMAC. */
  const body = (load: Load) => {
    const proxying = results.of(BARE_PROXYING, load);
    return spread(
      results
        .of(OURS, load)
        .map(({ cpuMicros }, index) => cpuMicros / ((proxying[index]?.cpuMicros ?? Number.NaN) + bare(load.size))),
    );
  };
  const usual = results.of(OURS, USUAL);
  const start = ratio(results.of(OURS, START), results.of(BARE_SERVER, START), 'startMillis');
  const refusal = ratio(results.of(OURS, FLOOD), results.of(FLOOR, USUAL), 'cpuMicros');
  const once = ratio(results.of(ONCE_IN_MEMORY, NEW_EVENTS), results.of(OURS, NEW_EVENTS), 'cpuMicros');
  const [routes] = BY_ROUTES.slice(-1).map(({ subject }) => ratio(results.of(subject, USUAL), usual, 'cpuMicros'));
  return [
    atMost('a fresh process at 100/s, kept connections, to the floor', to(FLOOR, FRESH), 0.8),
    atMost('the same, new connections', to(FLOOR, FRESH_NEW), 0.95),
    atMost('one connection, to the floor', to(FLOOR, load(KIB, 1)), 0.76),
    atMost('the same, to nginx with njs', to(NGINX_NJS, load(KIB, 1)), 1.3),
    atMost('32 connections, to the floor', to(FLOOR, USUAL), 0.76),
    atMost('the same, to nginx with njs', to(NGINX_NJS, USUAL), 1.2),
    atMost('256 connections, to the floor', to(FLOOR, load(KIB, 256)), 0.85),
    atMost('16 KiB, to the bare proxying and HMAC of it', body(MIDDLE), 1),
    atMost('1 MiB, to the bare proxying and HMAC of it', body(LARGE), 1),
    atMost('`once` in memory, each event new, to the same without', once, 1.15),
    atMost('to refuse a missing signature, to an accepted request of the floor', refusal, 0.35),
    atMost('1,000 routes, to one', routes ?? NONE, 1.1),
    atMost('exec to ready, to a bare node:http server', start, 2),
    mebibytes('RSS idle', figure(usual, 'rssIdle'), 65),
    mebibytes('RSS after 32 connections', figure(usual, 'rssAfter'), 95),
    mebibytes('RSS after 256 connections', figure(results.of(OURS, load(KIB, 256)), 'rssAfter'), 124),
    mebibytes('RSS after wrong signatures', figure(results.of(OURS, WRONG), 'rssAfter'), 92),
  ];
}

const NONE = spread([]);

function mebibytes(what: string, found: Spread, limit: number): Goal {
  return { ...atMost(what, found, limit), limit: `at most ${limit} MiB`, unit: 'MiB' };
}

function atMost(what: string, found: Spread, limit: number): Goal {
  return { what, limit: `at most ${limit} ×`, found, unit: '×', met: found.median <= limit };
}
