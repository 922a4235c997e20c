// The state of the store of deferred deliveries, as this process knows it: what waits there, and the store's problem.
import type { KeyObject } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { onePerTurn, QUICK_FOR_MS } from '../base/deadline.ts';
import { ignore } from '../base/errors.ts';
import type { DeferredState } from '../core/fate-by-status.ts';
import { bodyTag } from '../core/request-record.ts';
import { UNMATCHED } from '../core/routes.ts';
import { LastTaken } from './pace.ts';
import type { Needs } from './process-parts.ts';
import { keyTag } from './record.ts';
import { ResultLog } from './result-log.ts';
import type { Change, DeferredStore, Group, Leased, Summary, WhyLost } from './stores/store.ts';
import { LEASE_MS, MOST_DROPPED, TIME_LIMIT_MS } from './stores/store.ts';

/** Milliseconds between two refreshes: other processes fill the store, too, and the queue renews its leases as often. */
export const REFRESH_EVERY_MS = LEASE_MS / 3;

/** Milliseconds between two attempts, at a test or at a report, while the store fails. */
const RETRY_MS = 1000;

/** Milliseconds until the next try of what could not be sent, or whose loss the log did not take. */
export const BUSY_PAUSE_MS = 5000;

const NOT_LOST = 'a deferred delivery told as lost is not: it was just replaced, or asked for';
const LOST = 'the store of deferred deliveries has lost what waited in it';
const NOT_KNOWN = 'not known';

type StateNeeds = Pick<Needs, 'log' | 'onResult' | 'storeSettings' | 'tellLoss'>;

export type StoreProblem = 'full' | 'slow' | 'failing';
const WHY = { full: 'it was full', slow: `it did not answer within ${TIME_LIMIT_MS} ms` };

export class StoreState {
  readonly #needs: StateNeeds;
  /** The store, of SQLite or Redis: `#store` in queue.ts, whose first call opens it (stores/open-store.ts). */
  readonly store: () => Promise<DeferredStore>;
  /** Aborted when the process stops: then nothing is leased or tried again. */
  readonly shutdown = new AbortController();
  /** Called by `changed`. The queue sets it, and then leases what is due: so a stored delivery comes to be sent. */
  onChange: () => void = ignore;
  summary: Summary = { groups: [], soonest: [], dropped: [], losses: [], lostLately: 0, aside: [], evicts: null };
  /** When the summary was made, in epoch milliseconds: the `wait` of its entries counts from then. 0 before the first. */
  summedAt = 0;
  /** How often this process has changed what is stored; `#seen`: how many of these changes the summary includes. */
  #changes = 0;
  #seen = 0;
  /** True if the last refresh failed, or something was lost since: then it is not known what the store holds. */
  #isOld = false;
  /** How often the store failed, was full, was too slow, or lost events. */
  failureCount = 0;
  /** Why the store fails: from the first failure until a test event went all the way. Null if it works. */
  #problem: string | null = null;
  /** When the store was last too slow, in milliseconds on the monotonic clock. */
  #slowAt = Number.NEGATIVE_INFINITY;
  #lastRoute = UNMATCHED;
  /** The bytes of the last delivery for which there was no room; null if there is room. */
  #bytesTurnedAway: number | null = null;
  #nextRefresh: NodeJS.Timeout | undefined;
  /** When (epoch milliseconds) and why a delivery was last turned away because of the store; null for never. */
  lastNotStored: Readonly<{ at: number; kind: StoreProblem; why: string; before: number }> | null = null;
  /** When the last one was before the store worked again; 0 for never: `before`, as one that comes and goes is not cured. */
  #before = 0;
  /** The last delivery that was not stored, as `MAX_OF_ONE_BODY` with its body were: no failure of the store. */
  crowded: { readonly at: number; readonly route: string } | null = null;
  readonly lastTaken = new LastTaken();
  readonly log: ResultLog;
  #isClosed = false;
  /** True if the log took the last line of a loss. */
  #lastLine = Promise.resolve(true);
  readonly #changesToMake: Change[] = [];

  constructor(needs: StateNeeds, store: () => Promise<DeferredStore>) {
    this.#needs = needs;
    this.log = new ResultLog(needs);
    this.store = store;
  }

  /** True if nothing is stored, as far as this process knows. */
  get isEmpty(): boolean {
    return this.isCurrent && this.summary.soonest.length === 0;
  }

  /** True if the summary includes each change that this process knows of. */
  get isCurrent(): boolean {
    return !this.#isOld && this.#seen === this.#changes;
  }

  /** Sums up groups. `oldest`: when the oldest delivery came, in epoch milliseconds; 0 if there is none. */
  #sum(isCounted: (group: Group) => boolean) {
    const groups = this.summary.groups.filter(isCounted);
    const sum = (field: 'deliveries' | 'bytes') => groups.reduce((total, group) => total + group[field], 0);
    const oldest = groups.reduce((first, group) => Math.min(first || group.oldest, group.oldest || first), 0);
    return { deliveries: sum('deliveries'), bytes: sum('bytes'), oldest };
  }

  total(of: DeferredState | 'all') {
    return this.#sum(({ state }) => of === 'all' || state === of);
  }

  /** The share of `maxBytes` that is used by waiting events: others give way to new ones. */
  get filling(): number {
    return this.total('waiting').bytes / this.#needs.storeSettings().maxBytes;
  }

  /** How many stored deliveries the secret with this key has verified, except those altered since. */
  signedBy(key: KeyObject | null): number {
    // Asked every second: to derive a tag where nothing is stored took a quarter of a look at the process's health.
    if (this.summary.groups.length === 0) return 0;
    const tag = key === null ? null : keyTag(key);
    return this.#sum((group) => group.key === tag && group.failure !== 'altered').deliveries;
  }

  /** When the summary was made, if it is older than a refresh, or no longer true; else null. */
  get lastSeen(): number | null {
    const age = Date.now() - this.summedAt;
    const isTrue = !this.#isOld && this.#problem === null && age < REFRESH_EVERY_MS + TIME_LIMIT_MS;
    return isTrue || this.summedAt === 0 ? null : this.summedAt;
  }

  /** Must be called when this process has changed what is stored, or the store may hold what no summary has yet. */
  changed(): void {
    this.#changes++;
    this.#refreshSoon();
    this.onChange();
  }

  /** Resolves after a second at most: once the summary includes the last change, a person's as well, or the store fails. */
  async upToDate(): Promise<void> {
    const mayBeOld = this.summedAt > 0 && this.problem === null; // a command beside the proxy may have dropped some
    if (this.#seen === this.#changes && !mayBeOld) return;
    await Promise.race([this.refresh(), sleep(TIME_LIMIT_MS, undefined, { ref: false })]);
  }

  readonly refresh = onePerTurn(async () => {
    if (this.summedAt === 0 || this.problem !== null) await this.#test();
    const changes = this.#changes;
    const summary = await this.store()
      .then((store) => store.summary())
      .catch((error: unknown) => {
        if (this.#problem === null) this.onFailure(error);
        return null;
      });
    if (summary !== null) [this.summary, this.summedAt] = [summary, Date.now()];
    this.#isOld = summary === null;
    for (const { id, note } of summary?.dropped ?? []) this.log.result('dropped', id, note ?? { route: null });
    this.#seen = changes;
    if (this.total('all').bytes + (this.#bytesTurnedAway ?? 0) <= this.#needs.storeSettings().maxBytes)
      this.#bytesTurnedAway = null;
    this.#tellProblem();
    this.log.flush();
    if (summary?.dropped.length === MOST_DROPPED) void this.refresh();
  });

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#nextRefresh);
    this.log.flush();
  }

  get problem(): { readonly why: string; readonly kind: StoreProblem } | null {
    if (this.#problem !== null) return { why: this.#problem, kind: 'failing' };
    if (performance.now() - this.#slowAt < QUICK_FOR_MS) return { why: WHY.slow, kind: 'slow' };
    return this.#bytesTurnedAway === null ? null : { why: WHY.full, kind: 'full' };
  }

  /** Calls the store, and returns its answer; null if the call failed, which is logged. */
  async call<T>(method: (store: DeferredStore) => Promise<T>): Promise<T | null> {
    try {
      return await method(await this.store());
    } catch (error) {
      this.onFailure(error);
      return null;
    }
  }

  /**
   * Ends a lease, in one call with all that end meanwhile, again and again until the store answers: so long it is kept,
   * so that nobody sends the delivery again. False if an equal delivery has replaced this one, or another process has
   * leased it. Null if the process stops before it is known.
   */
  async endLease({ id, lease }: Pick<Leased, 'id' | 'lease'>, to: Change['to']): Promise<boolean | null> {
    const { signal } = this.shutdown;
    for (;;) {
      const at = this.#changesToMake.push({ id, lease, to }) - 1;
      const made = await this.#makeChanges();
      if (made !== null || signal.aborted) {
        this.changed();
        return made && made[at] === 'done';
      }
      await sleep(RETRY_MS, undefined, { signal }).catch(ignore);
    }
  }

  readonly #makeChanges = onePerTurn(() => {
    const changes = this.#changesToMake.splice(0);
    return this.call((store) => store.change(changes));
  });

  /** Ends a leased event, undecided, after its line. False without one (it is given back), or if the lease was lost. */
  async lose(leased: Leased, why: WhyLost, isWanted = () => true): Promise<boolean> {
    const { id, note } = leased;
    const came = note === null ? NOT_KNOWN : new Date(note.came).toISOString();
    const { attempts = NOT_KNOWN, failure = NOT_KNOWN } = note ?? {};
    const of = { id, body_sha256: bodyTag(id), route: note?.route ?? NOT_KNOWN };
    const tell = () => isWanted() && this.#needs.tellLoss({ ...of, came, attempts, last_answer: failure, why });
    this.#lastLine = this.#lastLine.then(tell); // one after the other, as fast as the log takes them
    const isTold = await this.#lastLine;
    const isLost = await this.endLease(leased, isTold ? why : { pause: BUSY_PAUSE_MS });
    if (isTold && isLost === false) {
      this.log.tell('info', NOT_LOST, { id });
      await this.endLease(leased, { pause: 0 }); // if a person has asked for it
    }
    if (!isTold || isLost !== true) return false;
    this.#isOld = true;
    this.#needs.onResult({ result: 'lost', route: note?.route ?? UNMATCHED });
    return true;
  }

  /** Must be called with each error of the store. */
  readonly onFailure = (error: unknown): void => {
    if (this.#isClosed) return;
    this.failureCount++;
    this.#setProblem(textOf(error));
  };

  /** Must be called when a delivery of `bytes` was not stored because of the store. */
  notStored(kind: StoreProblem, bytes: number, error?: unknown): void {
    const why = kind === 'failing' ? textOf(error) : WHY[kind];
    this.failureCount++;
    this.lastNotStored = { at: Date.now(), kind, why, before: this.#before };
    if (kind === 'full') this.#bytesTurnedAway = bytes;
    if (kind === 'slow') this.#slowAt = performance.now();
    if (kind === 'failing') this.#setProblem(why);
    this.#tellProblem();
  }

  /** Must be called when a delivery of this route was stored. */
  stored(route: string): void {
    this.#lastRoute = route;
    this.#bytesTurnedAway = null;
    this.#tellProblem();
    this.changed();
  }

  /** Called by the store. That it answers (null) ends no problem: only `#test` does. */
  readonly onProblem = (problem: string | null): void => {
    if (problem !== null && !this.#isClosed) this.#setProblem(textOf(problem));
  };

  /** Called by the store when so many events are gone or were set aside; null for a number that is not known. */
  readonly onLoss = (problem: string, events: number | null): void => {
    this.failureCount++;
    this.#needs.log.error(LOST, { problem, events: events ?? NOT_KNOWN });
    // Which ones are gone is not known, so these are the groups of the last summary, and what was stored since.
    let remaining = events ?? 0;
    for (const { route, deliveries } of [...this.summary.groups, { route: this.#lastRoute, deliveries: remaining }])
      for (let nth = 0; nth < deliveries && remaining > 0; nth++, remaining--)
        this.#needs.onResult({ result: 'lost', route });
    this.#isOld = true; // without `changed`, which calls the store: a store that loses at each call would do so for ever
  };

  #setProblem(problem: string): void {
    this.#problem = problem;
    this.#tellProblem();
    this.#refreshSoon();
  }

  #refreshSoon(): void {
    if (this.#isClosed) return;
    this.#nextRefresh ??= setTimeout(() => {
      this.#nextRefresh = undefined;
      void this.refresh();
    }, RETRY_MS).unref();
  }

  async #test(): Promise<void> {
    const store = await this.store().catch(ignore); // then the second call, below, says why
    const began = performance.now();
    const problem = await (store?.test() ?? this.store()).then(() => null, textOf);
    if (performance.now() - began > TIME_LIMIT_MS) this.#slowAt = performance.now();
    if (problem !== null) {
      if (this.#problem === null) this.failureCount++;
      return this.#setProblem(problem);
    }
    this.#problem = null;
  }

  #tellProblem(): void {
    if (this.problem === null) this.#before = this.lastNotStored?.at ?? 0;
    if (!this.#isClosed) this.log.storeProblem(this.problem?.why ?? null);
  }
}

/** Part of sentences; Redis ends its own with a dot. */
const textOf = (error: unknown) => (error instanceof Error ? error.message : String(error)).replace(/\.$/, '');
