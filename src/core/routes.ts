// Which route a target gets: the strictest treatment that any reading of it could get (spec §6.2).
import { Buffer } from 'node:buffer';
import type { Words } from './occurrences.ts';
import {
  couldBeRead,
  examinePath,
  type PathPattern,
  parsePattern,
  type ReadingKind,
  type Target,
  takesPlainly,
  viewsOf,
  wordsOf,
} from './targets.ts';

/** What a route asks for. `path` is the metric label too: as configured, or `unmatched`. */
export interface Route {
  /** As configured: exact, or ending in `/*`; or `unmatched`. */
  readonly path: string;
  readonly action: 'verify' | 'forward' | 'reject';
  /** Upper case; null: every method. GET brings HEAD, which is listed then. */
  readonly methods: readonly string[] | null;
  /** Ids of secrets; null: all. `current` means `current.previous` too. */
  readonly secrets: readonly string[] | null;
  readonly mode: 'enforce' | 'report';
  /** Epoch milliseconds after which a report route enforces by itself. */
  readonly reportUntil: number | null;
  readonly maxBody: number;
  /** `refuse`: a request with a query, which no signature covers, is answered with 400. */
  readonly query: 'forward' | 'refuse';
  readonly once: number | null;
  readonly upgrade: readonly 'websocket'[];
  /** Lower case. */
  readonly allowHeaders: readonly string[];
  /** Milliseconds; null: the upstream's. */
  readonly responseTimeout: number | null;
  readonly idleTimeout: number | null;
}

export const UNMATCHED = 'unmatched';

/** One route that a target could reach, and how it was found. */
export interface Candidate {
  readonly route: Route;
  readonly how: 'plain' | ReadingKind;
}

export interface Examination {
  readonly target: Target;
  readonly candidates: readonly Candidate[];
  /** What is done: a configured route, or several verify routes that must all be satisfied, in one. */
  readonly treatment: Route;
}

interface Entry {
  readonly route: Route;
  readonly pattern: PathPattern;
}

// Honest traffic has few paths; hostile traffic has many and long ones, and must not grow this.
const CACHED_PATHS = 1024;
const CACHED_PATH_LENGTH = 256;

/** The routes of one policy. Immutable but for a bounded cache; `now` is epoch milliseconds. */
export class RouteTable {
  readonly #entries: readonly Entry[];
  readonly #words: Words;
  readonly #unmatched: Route;
  readonly #cache = new Map<string, Route>();
  #modesChangeAt = Number.NEGATIVE_INFINITY;

  constructor(routes: readonly Route[], unmatched: Route) {
    this.#entries = routes.map((route) => ({ route, pattern: parsePattern(route.path) }));
    const protecting = this.#entries.filter(({ route }) => route.action !== 'forward');
    this.#words = wordsOf(protecting.map(({ pattern }) => pattern));
    this.#unmatched = unmatched;
  }

  /** The treatment of a path. Cached: 0.1 µs where the examination takes 2 µs and grows with the number of routes. */
  claim(path: string, now: number): Route {
    if (now >= this.#modesChangeAt) {
      this.#cache.clear();
      this.#modesChangeAt = this.#nextModeChange(now);
    }
    const cached = this.#cache.get(path);
    if (cached !== undefined) return cached;
    const { treatment } = this.examine(path, now);
    if (path.length <= CACHED_PATH_LENGTH) {
      if (this.#cache.size >= CACHED_PATHS) this.#cache.clear();
      // The path may be a slice of a head, which must not live as long as the cache.
      this.#cache.set(Buffer.from(path, 'latin1').toString('latin1'), treatment);
    }
    return treatment;
  }

  /** All that matters about a path: its readings, the candidates among the routes, and the treatment. */
  examine(path: string, now: number): Examination {
    const target = examinePath(path);
    const read = this.#readable(target);
    const taker = this.#taker(target, read.length > 0);
    const candidates: Candidate[] = [{ route: taker?.route ?? this.#unmatched, how: 'plain' }];
    for (const { entry, how } of read) {
      if (entry !== taker && !yields(entry, taker, target)) candidates.push({ route: entry.route, how });
    }
    return {
      target,
      candidates,
      treatment: strictest(
        candidates.map(({ route }) => route),
        now,
      ),
    };
  }

  #readable(target: Target): { entry: Entry; how: ReadingKind }[] {
    const found: { entry: Entry; how: ReadingKind }[] = [];
    const views = viewsOf(target, this.#words);
    for (const entry of this.#entries) {
      if (entry.route.action === 'forward') continue;
      const how = couldBeRead(target, entry.pattern, views);
      if (how !== null) found.push({ entry, how });
    }
    return found;
  }

  /** The route that takes the target by its plain spelling: the longest path wins, whatever the order. */
  #taker(target: Target, someRead: boolean): Entry | undefined {
    let longest: Entry | undefined;
    for (const entry of this.#entries) {
      if (longest !== undefined && !isLonger(entry, longest)) continue;
      if (this.#takes(entry, target, someRead)) longest = entry;
    }
    return longest;
  }

  #takes({ route, pattern }: Entry, target: Target, someRead: boolean): boolean {
    if (!takesPlainly(pattern, target.path, route.action === 'forward' ? 'below' : 'stem')) return false;
    if (route.action !== 'forward' || !pattern.wildcard) return true;
    // Where nothing is protected a climb or a fold to the stem itself leads nowhere that is not open anyway.
    if (this.#unmatched.action === 'forward' && !someRead) return true;
    return !target.folded.climbs && target.folded.kept > pattern.folded.text.length;
  }

  #nextModeChange(now: number): number {
    let next = Number.POSITIVE_INFINITY;
    for (const { route } of this.#entries) {
      if (route.reportUntil !== null && route.reportUntil > now) next = Math.min(next, route.reportUntil);
    }
    return next;
  }
}

/** `/a/b` is longer than `/a/*`, which has four characters too: the `*` counts as nothing. A tie is never for forward. */
function isLonger(a: Entry, b: Entry): boolean {
  const length = ({ pattern }: Entry) => (pattern.wildcard ? pattern.path.length - 1 : pattern.path.length);
  const more = length(a) - length(b);
  return more > 0 || (more === 0 && a.route.action !== 'forward' && b.route.action === 'forward');
}

/** A plain target is what it says: a shorter route does not get it beside the longest that takes it. */
function yields(entry: Entry, taker: Entry | undefined, target: Target): boolean {
  return taker !== undefined && target.marks.length === 0 && isLonger(taker, entry);
}

/** True where the route only reports at `now`. */
export function reports(route: Pick<Route, 'mode' | 'reportUntil'>, now: number): boolean {
  return route.mode === 'report' && (route.reportUntil === null || now < route.reportUntil);
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
  if (verify.length === 1) return named;
  return Object.freeze({
    ...named,
    methods: intersection(verify.map((route) => route.methods)),
    secrets: intersection(verify.map((route) => route.secrets)),
    allowHeaders: intersection(verify.map((route) => route.allowHeaders)) ?? [],
    maxBody: Math.min(...verify.map((route) => route.maxBody)),
    query: verify.some((route) => route.query === 'refuse') ? 'refuse' : 'forward',
  });
}

const labelLength = (route: Route) => (route.path === UNMATCHED ? 0 : route.path.length);

function intersection(lists: readonly (readonly string[] | null)[]): readonly string[] | null {
  let left: readonly string[] | null = null;
  for (const list of lists) {
    if (list === null) continue;
    left = left === null ? list : left.filter((item) => list.includes(item));
  }
  return left;
}
