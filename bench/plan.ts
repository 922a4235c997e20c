// The measurements: which subject under which load. A cell that several tables need is measured once.

import type { Load } from './harness/load.ts';
import { type Cell, keyOf } from './harness/measure.ts';
import {
  BARE_PROXYING,
  BARE_SERVER,
  BARE_STREAMING,
  FLOOR,
  HAPROXY,
  NGINX_NJS,
  NO_PROXY,
  ONCE_IN_MEMORY,
  ONCE_IN_REDIS,
  OURS,
  ours,
  PEERS_OF_OURS,
  type Subject,
  UNBUILT,
} from './subjects.ts';

export const KIB = 1024;
export const MIB = 1024 * KIB;

export const SIZES = [KIB, 16 * KIB, MIB];
export const CONNECTIONS = [1, 32, 256];
/** Sizes between those that every subject is measured at, to show how cost grows. */
export const SIZES_OF_OURS = [KIB, 4 * KIB, 16 * KIB, 64 * KIB, 256 * KIB, MIB];

export function load(size: number, connections: number, more: Partial<Load> = {}): Load {
  return { size, connections, signed: true, rate: null, ...more };
}

/** The load that the goals are set for. */
export const USUAL = load(KIB, 32);
export const FLOOD = load(KIB, 32, { signed: false });
/** Well-formed signatures by a secret that nobody has. */
export const WRONG = load(KIB, 32, { wrong: true });
/** 100 requests a second on four connections. */
export const CALM = load(KIB, 4, { rate: 100 });
export const MIDDLE = load(16 * KIB, 32);
export const LARGE = load(MIB, 32);
/** The first 2,000 requests of a fresh process, 100 a second. */
export const FRESH = load(KIB, 4, { rate: 100, fresh: 'kept' });
export const FRESH_NEW = load(KIB, 4, { rate: 100, fresh: 'new' });
/** The same on kept connections, on a machine that has many other sockets. */
export const FRESH_BESIDE_SOCKETS = load(KIB, 4, { rate: 100, fresh: 'kept', others: 20_000 });
/** The same with the CPU limit of a small container. */
export const FRESH_LIMITED = load(KIB, 4, { rate: 100, fresh: 'kept', millicores: 100 });
/** From exec to the first answer. */
export const START = load(KIB, 1, { fresh: 'start' });
/** An unsigned body on a forward route: our proxy gives it a new upstream socket. */
export const FORWARDED = load(KIB, 32, { signed: false, path: '/open' });
/** The same from one client, for its latency. */
export const FORWARDED_ALONE = load(KIB, 1, { signed: false, path: '/open' });
/** The usual load through a balancer: eleven header lines. */
export const BALANCED = load(KIB, 32, { lines: 'balancer' });

export const BY_ROUTES = [10, 100, 1000].map((routes) => ({
  routes,
  subject: ours({ name: `ours-${routes}-routes`, routes }),
}));
export const BY_SECRETS = [2, 3, 5].map((secrets) => ({
  secrets,
  subject: ours({ name: `ours-${secrets}-secrets`, secrets }),
}));

/** Each event is new: forwarded, and remembered if `once` is on. */
export const NEW_EVENTS = load(KIB, 32, { bodies: Number.POSITIVE_INFINITY });
/** Events that were all delivered during the warm-up. */
export const DUPLICATES = load(KIB, 32, { bodies: 1000 });
export const ONCE = [ONCE_IN_MEMORY, ONCE_IN_REDIS];

/** The subjects that may be flooded with unsigned requests. */
export const FLOODED = [OURS, ...PEERS_OF_OURS.filter(({ verifies }) => verifies)];
export const CALMED = [NO_PROXY, OURS, FLOOR, HAPROXY];

export interface Choice {
  /** Only the cells that the goals need, all under the usual load if that is enough. */
  readonly quick: boolean;
  /** Names of subjects; null for all. */
  readonly only: readonly string[] | null;
  /** Other builds of our proxy, measured beside it. */
  readonly builds: readonly Subject[];
  /** Whether this machine can limit a subject's CPU. */
  readonly limits: boolean;
}

export function planOf({ quick, only, builds, limits }: Choice): Cell[] {
  const limited = limits ? [FRESH_LIMITED] : [];
  const beside = [OURS, ...builds, ...PEERS_OF_OURS];
  const delivering = quick
    ? cells([OURS, ONCE_IN_MEMORY], [NEW_EVENTS])
    : [...cells([OURS, ...ONCE], [NEW_EVENTS]), ...cells(ONCE, [DUPLICATES])];
  const refusing = cells([OURS, ...builds], [WRONG]);
  const all = [...(quick ? quickCells(beside) : fullCells(beside, limited)), ...refusing, ...delivering];
  const once = new Map(all.map((cell) => [keyOf(cell.subject, cell.load), cell]));
  return [...once.values()].filter(({ subject }) => only === null || only.includes(subject.name));
}

/** Those of the goals and of docs/performance.md. */
function quickCells(beside: readonly Subject[]): Cell[] {
  const own = beside.filter((subject) => !PEERS_OF_OURS.includes(subject) || subject === FLOOR);
  return [
    ...cells([...beside.filter(({ name }) => name !== 'nginx-lua'), BARE_SERVER], [USUAL]),
    ...cells([...own, NGINX_NJS], [load(KIB, 1)]),
    ...cells(own, [load(KIB, 256), FRESH, FRESH_NEW, BALANCED]),
    ...cells([...own, BARE_SERVER], [START]),
    ...cells([OURS, FLOOR], [FLOOD]),
    ...cells([OURS, BARE_STREAMING], [FORWARDED, FORWARDED_ALONE]),
    ...cells([...own, BARE_PROXYING], [LARGE, MIDDLE]),
    ...cells(
      [...BY_ROUTES.slice(-1), ...BY_SECRETS.slice(-1)].map(({ subject }) => subject),
      [USUAL],
    ),
  ];
}

/** Ours, another build of ours, and the floor. */
function ownCells(beside: readonly Subject[], loads: readonly Load[]): Cell[] {
  return cells(
    beside.filter((subject) => !PEERS_OF_OURS.includes(subject) || subject === FLOOR),
    loads,
  );
}

function fullCells(beside: readonly Subject[], limited: readonly Load[]): Cell[] {
  const loads = SIZES.flatMap((size) => CONNECTIONS.map((connections) => load(size, connections)));
  return [
    ...cells([...beside, BARE_SERVER, UNBUILT], [USUAL]),
    ...cells(beside, loads),
    ...cells(FLOODED, [FLOOD]),
    ...cells(CALMED, [CALM]),
    ...cells([BARE_SERVER], [START]),
    ...ownCells(beside, [START, FRESH, FRESH_NEW, FRESH_BESIDE_SOCKETS, ...limited]),
    ...cells(beside, [BALANCED]),
    ...cells([OURS, BARE_STREAMING], [FORWARDED, FORWARDED_ALONE]),
    ...cells(
      [OURS, FLOOR],
      SIZES_OF_OURS.map((size) => load(size, 32)),
    ),
    ...cells([BARE_PROXYING], [MIDDLE]),
    ...cells([BARE_PROXYING, BARE_STREAMING], [LARGE]),
    ...cells(
      [...BY_ROUTES, ...BY_SECRETS].map(({ subject }) => subject),
      [USUAL],
    ),
  ];
}

function cells(subjects: readonly Subject[], loads: readonly Load[]): Cell[] {
  return loads.flatMap((load) => subjects.map((subject) => ({ subject, load })));
}
