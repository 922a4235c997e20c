// Deliver once: the first request for an event claims it, its twins (requests for it that come meanwhile) wait, and
// duplicates are answered. The store may fail at any time: then onStoreFailure decides, and no request hangs.
import { hash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { madeOnce } from '../base/deadline.ts';
import { ignore } from '../base/errors.ts';
import type { DeliveryClaim } from '../core/fate-by-status.ts';
import type { Head } from '../core/request-head.ts';
import type { ClaimAnswer, OnceStore, OnStoreChange } from './store.ts';

/**
 * `refuse`: the store failed and onStoreFailure is refuse, a twin takes too long, or too many twins wait already.
 * `stopped`: the process stops, which ended the wait before it was known whether the event is delivered.
 */
export type Claimed =
  | (DeliveryClaim & { readonly kind: 'deliver' })
  | { readonly kind: 'refuse'; readonly full: 'store' | 'twins' }
  | { readonly kind: 'duplicate' | 'stopped' };

const DUPLICATE = { kind: 'duplicate' } as const;
const REFUSE: Claimed = { kind: 'refuse', full: 'twins' };
const STOPPED: Claimed = { kind: 'stopped' };

interface ClaimsOptions {
  /** Opens the store, which may report problems at any time. */
  readonly open: (onChange: OnStoreChange) => Promise<OnceStore>;
  readonly onStoreFailure: 'forward' | 'refuse';
  readonly onChange: OnStoreChange;
}

interface ClaimRequest {
  readonly head: Pick<Head, 'path'>;
  readonly body: Uint8Array;
  /** Milliseconds for which a delivered event is remembered. */
  readonly window: number;
  /** When the wait for a twin ends at the latest, in milliseconds of the monotonic clock. */
  readonly until: number;
  /** Ends the wait for a twin. A client's departure does not: what happens to the event decides the delivery's fate. */
  readonly stop: AbortSignal;
}

/** Wakes a waiting twin: with the outcome once it is known, or with null if the twin must try again itself. */
type Wake = (claimed: Claimed | null) => void;

/** An event that this process delivers, or claims in the store: its own claim, as closures and promises cost 3 KB more. */
class UnderWay implements DeliveryClaim {
  readonly kind = 'deliver';
  readonly key: string;
  readonly window: number;
  readonly #claims: Claims;
  twins: Set<Wake> | null = null;
  /** True once this or another process delivers the event. Until then twins wait only for the store, about a second. */
  delivers = false;
  isOver = false;

  constructor(key: string, window: number, claims: Claims) {
    this.key = key;
    this.window = window;
    this.#claims = claims;
  }

  delivered(): void {
    this.#claims.record(this, DUPLICATE);
  }

  failed(): void {
    this.#claims.record(this, null);
  }

  /** Marks the event as being delivered. The upstream may take long, so from now on only a few twins may wait. */
  begin(): this {
    this.delivers = true;
    if (this.twins !== null) for (const wake of [...this.twins].slice(MAX_TWINS)) wake(REFUSE);
    return this;
  }
}

/** The maximum number of twins that wait for one event. Each keeps its body: replays must not fill the byte budget. */
const MAX_TWINS = 16;
/** The pause between two checks of an event that another process is delivering. */
const CHECK_EVERY_MS = 100;
/** Milliseconds that `close` waits until the store knows of the last deliveries, which takes a second or so. */
const CLOSE_MS = 2000;

export class Claims {
  readonly #options: ClaimsOptions;
  readonly #store: () => Promise<OnceStore>;
  #opened: OnceStore | null = null;
  readonly #underWay = new Map<string, UnderWay>();
  #onSettled: (() => void) | null = null;
  readonly entries: OnceStore['entries'] = () => this.#opened?.entries() ?? 0;
  readonly evicts: OnceStore['evicts'] = () => this.#opened?.evicts() ?? null;
  isKnown = false;
  failures = 0;
  /** Events that went to the app without a claim, as the store failed: how many, and the last time (epoch ms); null if none did. */
  unclaimed: { readonly count: number; readonly at: number } | null = null;
  failure: string | null = null;

  constructor(options: ClaimsOptions) {
    this.#options = options;
    this.#store = madeOnce(async () => {
      const store = await options.open((failure) => this.#setFailure(failure));
      this.#opened = store;
      return store;
    });
    this.#store().catch(ignore); // each claim tries again, and reports the problem
  }

  /** Says what to do with a request; never rejects. At once with the memory store and no twin: promises would cost a tenth. */
  claim(request: ClaimRequest): Claimed | Promise<Claimed> {
    const key = eventKey(request.head.path, request.body);
    return this.#underWay.has(key) ? this.#claimAfterTwins(key, request) : this.#claimAlone(key, request);
  }

  async #claimAfterTwins(key: string, request: ClaimRequest): Promise<Claimed> {
    for (let twin = this.#underWay.get(key); twin !== undefined; twin = this.#underWay.get(key)) {
      twin.twins ??= new Set();
      if (twin.delivers && twin.twins.size >= MAX_TWINS) return REFUSE;
      const claimed = await woken(twin.twins, request);
      if (claimed !== null) return claimed;
    }
    return this.#claimAlone(key, request);
  }

  /** No `await` since the lookup, so exactly one twin proceeds. */
  #claimAlone(key: string, request: ClaimRequest): Claimed | Promise<Claimed> {
    const own = new UnderWay(key, request.window, this);
    this.#underWay.set(key, own);
    const answer = this.#opened?.claim(key) ?? this.#store().then((store) => store.claim(key));
    return answer === 'first' ? own.begin() : this.#claimInStore(own, answer, request);
  }

  /** Resolves when no delivery is in flight and the store knows how each has ended. */
  settled(): Promise<void> {
    return new Promise((resolve) => {
      this.#onSettled = resolve;
      if (this.#underWay.size === 0) resolve();
    });
  }

  async close(): Promise<void> {
    const timer = setTimeout(() => this.#onSettled?.(), CLOSE_MS);
    await this.settled();
    clearTimeout(timer);
    await this.#store().then((store) => store.close(), ignore);
  }

  async #claimInStore(own: UnderWay, answered: ClaimAnswer | Promise<ClaimAnswer>, { until, stop }: ClaimRequest) {
    try {
      for (let answer = await answered; answer !== 'first'; answer = await (await this.#store()).claim(own.key)) {
        if (answer === 'delivered') return this.#end(own, DUPLICATE);
        own.begin();
        await sleep(CHECK_EVERY_MS, undefined, { signal: stop }).catch(ignore);
        if (stop.aborted) return this.#end(own, STOPPED);
        if (performance.now() >= until) return this.#end(own, REFUSE);
      }
    } catch (error) {
      this.#failed(error);
      // Otherwise the event is delivered without a claim, and still recorded if the store works again by then.
      if (this.#options.onStoreFailure === 'refuse') return this.#end(own, { kind: 'refuse', full: 'store' });
      this.unclaimed = { count: (this.unclaimed?.count ?? 0) + 1, at: Date.now() };
    }
    return own.begin();
  }

  /** Records how a delivery has ended: `null` if the event was not delivered. Only the first call for each counts. */
  record(own: UnderWay, end: typeof DUPLICATE | null): void {
    if (own.isOver) return;
    own.isOver = true;
    const save = (store: OnceStore) => (end === DUPLICATE ? store.commit(own.key, own.window) : store.release(own.key));
    const saved = this.#opened === null ? this.#store().then(save) : save(this.#opened);
    if (saved === undefined) this.#end(own, end);
    else void saved.catch((error: unknown) => this.#failed(error)).then(() => this.#end(own, end));
  }

  #failed(error: unknown): void {
    this.failures++;
    this.#setFailure(error instanceof Error ? error.message : String(error));
  }

  #setFailure(failure: string | null): void {
    const changed = (failure === null) !== (this.failure === null);
    this.isKnown = true;
    this.failure = failure;
    if (changed) this.#options.onChange(failure);
  }

  /** Forgets an event and wakes its twins: it was delivered, or one of them may deliver next. Returns `claimed`. */
  #end<C extends Claimed | null>({ key, twins }: UnderWay, claimed: C): C {
    this.#underWay.delete(key);
    if (twins !== null) for (const wake of [...twins]) wake(claimed === DUPLICATE ? DUPLICATE : null);
    if (this.#underWay.size === 0) this.#onSettled?.();
    return claimed;
  }
}

/** Waits for a `Wake` call, and resolves with its value; with `refuse` on timeout, with `stopped` once `stop` aborts. */
function woken(sleepers: Set<Wake>, { until, stop }: ClaimRequest): Promise<Claimed | null> {
  if (stop.aborted) return Promise.resolve(STOPPED);
  return new Promise((resolve) => {
    const wake: Wake = (claimed) => {
      clearTimeout(timer);
      stop.removeEventListener('abort', end);
      sleepers.delete(wake);
      resolve(claimed);
    };
    const end = () => wake(STOPPED);
    const timer = setTimeout(() => wake(REFUSE), Math.max(0, until - performance.now()));
    stop.addEventListener('abort', end);
    sleepers.add(wake);
  });
}

/** An event's key: a hash of its path (as sent, without the query) and of its body; unlike redelivery's id, no method. */
export function eventKey(path: string, body: Uint8Array): string {
  return hash('sha256', `${hash('sha256', body, 'base64url')} ${path}`, 'base64url');
}
