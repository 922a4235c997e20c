// Deliver once: the first request for an event claims it, its twins (requests for it that come meanwhile) wait, and
// duplicates are answered. The store may fail at any time: then onStoreFailure decides, and no request hangs.
import { hash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { madeOnce } from '../base/deadline.ts';
import { ignore } from '../base/errors.ts';
import type { DeliveryClaim } from '../core/fate.ts';
import type { Head } from '../core/request-head.ts';
import type { OnceStore, OnStoreChange } from './store.ts';

/**
 * `refuse`: the store failed and onStoreFailure is refuse, a twin takes too long, or too many twins wait already.
 * `unknown`: the wait was ended before it was known whether the event is delivered.
 */
export type Claimed =
  | { readonly kind: 'deliver'; readonly claim: DeliveryClaim }
  | { readonly kind: 'refuse'; readonly full: 'store' | 'twins' }
  | { readonly kind: 'duplicate' | 'unknown' };

const DUPLICATE: Claimed = { kind: 'duplicate' };
const REFUSE: Claimed = { kind: 'refuse', full: 'twins' };
const UNKNOWN: Claimed = { kind: 'unknown' };

interface ClaimsOptions {
  /** Opens the store, which may report problems at any time. */
  readonly open: (onChange: OnStoreChange) => Promise<OnceStore>;
  readonly onStoreFailure: 'forward' | 'refuse';
  /** Called when the store starts to fail and when it works again. */
  readonly onChange: OnStoreChange;
}

interface ClaimRequest {
  readonly head: Pick<Head, 'path'>;
  readonly body: Uint8Array;
  /** Milliseconds for which a delivered event is remembered. */
  readonly window: number;
  /** The longest wait for a twin, in milliseconds. */
  readonly patience: number;
  /** Ends the wait for a twin. A client's departure does not: what happens to the event decides the delivery's fate. */
  readonly stop: AbortSignal;
}

/** Wakes a waiting twin: with the outcome once it is known, or with null if the twin must try again itself. */
type Wake = (claimed: Claimed | null) => void;

/** An event that this process is delivering, or claiming in the store. */
interface UnderWay {
  readonly twins: Set<Wake>;
  /** True once this or another process delivers the event. Until then twins wait only for the store, about a second. */
  delivers: boolean;
}

/** The maximum number of twins that wait for one event. Each keeps its body: replays must not fill the byte budget. */
const MAX_TWINS = 16;
/** The pause between two checks of an event that another process is delivering. */
const CHECK_EVERY_MS = 100;
/** Milliseconds that `close` waits until the store knows of the last deliveries, which takes a second or so. */
const CLOSE_MS = 2000;

export class Claims {
  readonly #options: ClaimsOptions;
  /** Returns the store, and opens it if it is not open yet. */
  readonly #store: () => Promise<OnceStore>;
  readonly #underWay = new Map<string, UnderWay>();
  #onSettled: (() => void) | null = null;
  entries = () => 0;
  evicts: OnceStore['evicts'] = () => null;
  /** False before the store has worked or failed. */
  isKnown = false;
  failures = 0;
  /** The current problem with the store; null if none is known. */
  failure: string | null = null;

  constructor(options: ClaimsOptions) {
    this.#options = options;
    this.#store = madeOnce(async () => {
      const store = await options.open((failure) => this.#setFailure(failure));
      this.entries = store.entries;
      this.evicts = store.evicts;
      return store;
    });
    this.#store().catch(ignore); // each claim tries again, and reports the problem
  }

  /** Says what to do with a request, after waiting for its twins, at most for `patience`. Never rejects. */
  async claim(request: ClaimRequest): Promise<Claimed> {
    const key = eventKey(request.head.path, request.body);
    const until = performance.now() + request.patience;
    for (let first = this.#underWay.get(key); first !== undefined; first = this.#underWay.get(key)) {
      if (first.delivers && first.twins.size >= MAX_TWINS) return REFUSE;
      const claimed = await woken(first.twins, until, request.stop);
      if (claimed !== null) return claimed;
    }
    // No `await` since the lookup, so exactly one twin proceeds.
    const own: UnderWay = { twins: new Set(), delivers: false };
    this.#underWay.set(key, own);
    const claimed = await this.#claimInStore(key, own, request, until);
    if (claimed.kind !== 'deliver') this.#end(key, claimed.kind === 'duplicate' ? claimed : null);
    return claimed;
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

  async #claimInStore(key: string, own: UnderWay, request: ClaimRequest, until: number): Promise<Claimed> {
    try {
      const store = await this.#store();
      for (let answer = await store.claim(key); answer !== 'first'; answer = await store.claim(key)) {
        if (answer === 'delivered') return DUPLICATE;
        delivers(own);
        await sleep(CHECK_EVERY_MS, undefined, { signal: request.stop }).catch(ignore);
        if (request.stop.aborted) return UNKNOWN;
        if (performance.now() >= until) return REFUSE;
      }
    } catch (error) {
      this.#failed(error);
      // Otherwise the event is delivered without a claim, and still recorded if the store works again by then.
      if (this.#options.onStoreFailure === 'refuse') return { kind: 'refuse', full: 'store' };
    }
    delivers(own);
    return { kind: 'deliver', claim: this.#claimOf(key, request.window) };
  }

  #claimOf(key: string, window: number): DeliveryClaim {
    let open = true;
    const end = async (fate: Claimed | null) => {
      if (!open) return;
      open = false;
      try {
        const store = await this.#store();
        if (fate === null) await store.release(key);
        else await store.commit(key, window);
      } catch (error) {
        this.#failed(error);
      }
      this.#end(key, fate);
    };
    return { delivered: () => void end(DUPLICATE), failed: () => void end(null) };
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

  /** Forgets an event and wakes its twins. `fate`: the answer to them; null if one of them may deliver next. */
  #end(key: string, fate: Claimed | null): void {
    const twins = this.#underWay.get(key)?.twins ?? [];
    this.#underWay.delete(key);
    for (const wake of [...twins]) wake(fate);
    if (this.#underWay.size === 0) this.#onSettled?.();
  }
}

/** Marks the event as being delivered. The upstream may take long, so from now on only a few twins may wait. */
function delivers(event: UnderWay): void {
  event.delivers = true;
  for (const wake of [...event.twins].slice(MAX_TWINS)) wake(REFUSE);
}

/** Waits for a `Wake` call, and resolves with its value; with `refuse` on timeout, with `unknown` once `stop` aborts. */
function woken(sleepers: Set<Wake>, until: number, stop: AbortSignal): Promise<Claimed | null> {
  if (stop.aborted) return Promise.resolve(UNKNOWN);
  return new Promise((resolve) => {
    const wake: Wake = (claimed) => {
      clearTimeout(timer);
      stop.removeEventListener('abort', end);
      sleepers.delete(wake);
      resolve(claimed);
    };
    const end = () => wake(UNKNOWN);
    const timer = setTimeout(() => wake(REFUSE), Math.max(0, until - performance.now()));
    stop.addEventListener('abort', end);
    sleepers.add(wake);
  });
}

/** An event's key: a hash of its path (as sent, without the query) and of its body; unlike redelivery's id, no method. */
export function eventKey(path: string, body: Uint8Array): string {
  return hash('sha256', `${hash('sha256', body, 'base64url')} ${path}`, 'base64url');
}
