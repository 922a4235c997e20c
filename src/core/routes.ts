// The route of a target: the strictest of all routes whose paths a server could read the target as.
import { Buffer } from 'node:buffer';
import { type Folded, foldPath } from './fold-path.ts';
import { parsePattern } from './path-patterns.ts';
import { type PathPattern, RoutePaths } from './path-readings.ts';

export interface Route {
  /** As configured: exact, or ending in `/*`; or `unmatched`. It is the metric label too. */
  readonly path: string;
  readonly action: 'verify' | 'forward' | 'reject';
  /** Upper case; null means every method. With GET the list also has HEAD. */
  readonly methods: readonly string[] | null;
  /** Ids of secrets; null means all. An id includes its previous value during the overlap. */
  readonly secrets: readonly string[] | null;
  readonly mode: 'enforce' | 'report';
  /** Epoch milliseconds from which a report route enforces. */
  readonly reportUntil: number | null;
  /** Bytes. */
  readonly maxBody: number;
  /** `refuse`: a request with a query, which the signature does not cover, gets 400. */
  readonly query: 'forward' | 'refuse';
  /** Milliseconds for which a delivered event is remembered, so it is not delivered again; null means not at all. */
  readonly once: number | null;
  /** Milliseconds for which a delivery that the app did not take is sent again; null means not at all. */
  readonly redeliver: number | null;
  readonly upgrade: readonly 'websocket'[];
  /** Lower case. */
  readonly allowHeaders: readonly string[];
  /** Both in milliseconds; null means the value under `upstream`. */
  readonly responseTimeout: number | null;
  readonly idleTimeout: number | null;
}

export const UNMATCHED = 'unmatched';

interface PatternedRoute {
  readonly route: Route;
  readonly pattern: PathPattern;
}

// Honest traffic has few paths; hostile traffic has many long ones and must not grow the cache.
const CACHED_PATHS = 1024;
const CACHED_PATH_LENGTH = 256;

/** The routes of one policy. Immutable except for a bounded cache; `now` is epoch milliseconds. */
export class RouteTable {
  /** As configured, `unmatched` last. */
  readonly all: readonly Route[];
  readonly #longestFirst: readonly PatternedRoute[];
  readonly #protecting: readonly PatternedRoute[];
  readonly #protectedPaths: RoutePaths;
  readonly #unmatched: Route;
  readonly #cache = new Map<string, Route | null>();
  #modesChangeAt = Number.NEGATIVE_INFINITY;

  constructor(routes: readonly Route[], unmatched: Route) {
    const entries = routes.map((route) => ({ route, pattern: parsePattern(route.path) }));
    this.#longestFirst = entries.toSorted(byLength);
    this.#protecting = entries.filter(({ route }) => route.action !== 'forward');
    this.#protectedPaths = new RoutePaths(this.#protecting.map(({ pattern }) => pattern));
    this.#unmatched = unmatched;
    this.all = [...routes, unmatched];
  }

  /** The treatment of a path; null as in `examine`. A cached one takes 0.1 µs; an examination of a short path takes 3. */
  routeFor(path: string, now: number): Route | null {
    if (now >= this.#modesChangeAt) {
      this.#cache.clear();
      this.#modesChangeAt = this.#nextModeChange(now);
    }
    const cached = this.#cache.get(path);
    if (cached !== undefined) return cached;
    const treatment = this.examine(path, now)?.treatment ?? null;
    if (path.length <= CACHED_PATH_LENGTH) {
      if (this.#cache.size >= CACHED_PATHS) this.#cache.clear();
      // The path may be a slice of a head, which the cache must not keep in memory.
      this.#cache.set(Buffer.from(path, 'latin1').toString('latin1'), treatment);
    }
    return treatment;
  }

  /**
   * `candidates`: each route that the target could reach, and by which reading. `treatment`: the rules that apply, those
   * of a route, or what several verify routes demand. Null: the path cannot be folded, so no route takes it.
   */
  examine(path: string, now: number) {
    const target = foldPath(path);
    if (target === null) return null;
    const readings = this.#protectedPaths.readingsIn(target);
    const read = this.#protecting.flatMap((entry) => {
      const how = readings.get(entry.pattern);
      return how === undefined ? [] : { ...entry, how };
    });
    const plain = this.#longestFirst.find((entry) => this.#matches(entry, target, read));
    const candidates = [
      { route: plain?.route ?? this.#unmatched, how: 'plain' as const },
      ...read.filter((entry) => entry.route !== plain?.route && !isOutranked(entry, plain, target)),
    ];
    const routes = candidates.map(({ route }) => route);
    return { target, candidates, treatment: strictest(routes, now) };
  }

  /** True if the route matches the target as sent. */
  #matches({ route, pattern }: PatternedRoute, { path, climbs, kept }: Folded, read: readonly unknown[]): boolean {
    const { stem, wildcard, views } = pattern;
    if (!wildcard) return path === stem;
    const isBelow = path.startsWith(stem) && path.charCodeAt(stem.length) === 0x2f;
    if (route.action !== 'forward') return isBelow || path === stem;
    // A forward route takes only what is below its stem.
    if (!isBelow || path.length === stem.length + 1) return false;
    // If `unmatched` forwards and no protected route could be read, `..` or the stem alone reaches only open paths.
    if (this.#unmatched.action === 'forward' && read.length === 0) return true;
    return !climbs && kept > (views[0]?.length ?? 0);
  }

  #nextModeChange(now: number): number {
    const changes = this.#longestFirst.map(({ route }) => route.reportUntil ?? Number.POSITIVE_INFINITY);
    return Math.min(Number.POSITIVE_INFINITY, ...changes.filter((at) => at > now));
  }
}

/** Sorts the longest path first. `*` has no length: `/a/b` is longer than `/a/*`. */
function byLength(a: PatternedRoute, b: PatternedRoute): number {
  const length = ({ pattern: { stem, wildcard } }: PatternedRoute) => stem.length + Number(wildcard);
  return length(b) - length(a);
}

/** True if `plain` has the longer path, and the target only one reading (no marks): the longest match applies. */
function isOutranked(entry: PatternedRoute, plain: PatternedRoute | undefined, target: Folded): boolean {
  return plain !== undefined && target.marks.length === 0 && byLength(plain, entry) < 0;
}

type RoutesWith<K extends keyof Route> = { readonly routes: readonly Pick<Route, K>[] };
export const deliversOnce = ({ routes }: RoutesWith<'once'>) => routes.some(({ once }) => once !== null);
export const redelivers = ({ routes }: RoutesWith<'redeliver'>) => routes.some(({ redeliver }) => redeliver !== null);

/** True if the route is in report mode at `now`. */
export function reports(route: Pick<Route, 'mode' | 'reportUntil'>, now: number): boolean {
  return route.mode === 'report' && (route.reportUntil === null || now < route.reportUntil);
}

/** The route with its mode in force at `now`. */
export function inForce(route: Route, now: number): Route {
  return { ...route, mode: reports(route, now) ? 'report' : 'enforce' };
}

function strictness(route: Route, now: number): number {
  if (route.action === 'reject') return 3;
  if (route.action === 'forward') return 0;
  return reports(route, now) ? 1 : 2;
}

function strictest(routes: readonly Route[], now: number): Route {
  const most = Math.max(...routes.map((route) => strictness(route, now)));
  const named = routes
    .filter((route) => strictness(route, now) === most)
    .reduce((a, b) => (labelLength(b) > labelLength(a) ? b : a));
  if (named.action !== 'verify') return named;
  const verify = routes.filter((route) => route.action === 'verify');
  return verify.length === 1 ? named : Object.freeze(combined(named, verify));
}

type ForwardOnly = 'upgrade' | 'responseTimeout' | 'idleTimeout';
/** The options in which the strictest route alone decides. */
type OfNamed = ForwardOnly | 'path' | 'action' | 'mode' | 'reportUntil' | 'once' | 'redeliver';

/** One route that demands what all of `routes` demand. A new route option does not compile until it is merged here. */
function combined(named: Route, routes: readonly Route[]): Route {
  const demands: Omit<Route, OfNamed> = {
    methods: intersection(routes.map((route) => route.methods)),
    secrets: intersection(routes.map((route) => route.secrets)),
    allowHeaders: intersection(routes.map((route) => route.allowHeaders)) ?? [],
    maxBody: Math.min(...routes.map((route) => route.maxBody)),
    query: routes.some((route) => route.query === 'refuse') ? 'refuse' : 'forward',
  };
  return { ...named, ...demands };
}

const labelLength = (route: Route) => (route.path === UNMATCHED ? 0 : route.path.length);

/** The items that every list has. Null stands for all. */
function intersection(lists: readonly (readonly string[] | null)[]): readonly string[] | null {
  const [first = null, ...others] = lists.filter((list) => list !== null);
  return first?.filter((item) => others.every((list) => list.includes(item))) ?? null;
}
