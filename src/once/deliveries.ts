// Deliver once (spec §12): the first delivery of an event goes on, its twins wait for it, duplicates are answered.
// The store may fail at any time: then onStoreFailure decides, and no request hangs on it.
import { eventKey, type OnceStore } from './store.ts';

/** What a delivery is told at its end. Only the first of the two to be called counts. */
export interface Hold {
  /** The upstream answered 2xx, to the end. */
  delivered(): void;
  /** Anything else: a retry goes through. */
  failed(): void;
}

export type Turn =
  | { readonly kind: 'deliver'; readonly hold: Hold }
  | { readonly kind: 'duplicate' }
  /** The store failed and the config says refuse; or its twin is still on its way, or too many of them wait. */
  | { readonly kind: 'refuse' }
  | { readonly kind: 'left' };

export interface DeliveriesOptions {
  readonly store: Promise<OnceStore>;
  readonly onStoreFailure: 'forward' | 'refuse';
  /** The store could not be asked; told each time. */
  readonly onFailure: () => void;
  /** What is wrong with the store now, null where nothing is any more; told when it changes between the two. */
  readonly onTrouble: (trouble: string | null) => void;
}

export interface DeliveryRequest {
  readonly path: string;
  readonly body: Uint8Array;
  /** Milliseconds for which a delivered event is remembered. */
  readonly window: number;
  /** Milliseconds that it may wait for a twin. */
  readonly patience: number;
  /** Aborted when the client has left. */
  readonly client: AbortSignal;
}

/** Each waiting twin holds its body: whoever can replay an event must not fill the budget with it. */
const MOST_TWINS = 16;
/** Between two looks at an event that another process delivers. */
const LOOK_EVERY_MS = 100;

/** The store has its own limit of about a second. */
const CLOSE_MS = 2000;

const DUPLICATE: Turn = { kind: 'duplicate' };
const REFUSE: Turn = { kind: 'refuse' };
const LEFT: Turn = { kind: 'left' };

export class Deliveries {
  readonly #options: DeliveriesOptions;
  /** The events that this process delivers or asks the store about, and who waits for each of them. */
  readonly #underWay = new Map<string, Set<() => void>>();
  #entries: () => number = () => 0;
  #trouble: string | null = null;
  #onSettled: (() => void) | null = null;

  constructor(options: DeliveriesOptions) {
    this.#options = options;
    options.store.then(
      (store) => {
        this.#entries = () => store.entries();
      },
      () => {}, // each claim finds out
    );
  }

  get entries(): number {
    return this.#entries();
  }

  /** What is wrong with the store; null where nothing is known to be. */
  get trouble(): string | null {
    return this.#trouble;
  }

  /** The store has something to tell about itself, asked or not. */
  setTrouble(trouble: string | null): void {
    const changed = (trouble === null) !== (this.#trouble === null);
    this.#trouble = trouble;
    if (changed) this.#options.onTrouble(trouble);
  }

  /** Waits for its turn, as long as `patience`; never rejects. */
  async turn(request: DeliveryRequest): Promise<Turn> {
    const { client } = request;
    const key = eventKey(request.path, request.body);
    const until = performance.now() + request.patience;
    for (let twins = this.#underWay.get(key); twins !== undefined; twins = this.#underWay.get(key)) {
      if (twins.size >= MOST_TWINS || !(await woken(twins, until, client))) return client.aborted ? LEFT : REFUSE;
    }
    // Not a moment between the look and this line: of any number of twins one goes on.
    this.#underWay.set(key, new Set());
    const turn = await this.#claim(key, until, request);
    if (turn.kind !== 'deliver') this.#end(key);
    return turn;
  }

  /** Resolves when no delivery is under way and everything is told to the store. */
  settled(): Promise<void> {
    return new Promise((resolve) => {
      this.#onSettled = resolve;
      if (this.#underWay.size === 0) resolve();
    });
  }

  /** Leaves the store a moment to hear of the last ends. */
  async close(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, CLOSE_MS);
    await Promise.race([this.settled(), promise]);
    clearTimeout(timer);
    await this.#options.store.then(
      (store) => store.close(),
      () => {},
    );
  }

  async #claim(key: string, until: number, { window, client }: DeliveryRequest): Promise<Turn> {
    try {
      const store = await this.#options.store;
      for (;;) {
        const claim = await store.claim(key);
        if (claim.kind === 'delivered') return DUPLICATE;
        if (claim.kind === 'first') return { kind: 'deliver', hold: this.#hold(key, claim.token, window) };
        const inTime = await woken(new Set(), Math.min(until, performance.now() + LOOK_EVERY_MS), client);
        if (client.aborted) return LEFT;
        if (!inTime && performance.now() >= until) return REFUSE;
      }
    } catch (error) {
      this.#failed(error);
      if (this.#options.onStoreFailure === 'refuse') return REFUSE;
      // Unclaimed, and remembered all the same if the store is back when it is through.
      return { kind: 'deliver', hold: this.#hold(key, null, window) };
    }
  }

  #hold(key: string, token: string | null, window: number): Hold {
    let open = true;
    const end = async (settle: (store: OnceStore) => Promise<void>) => {
      if (!open) return;
      open = false;
      try {
        await settle(await this.#options.store);
      } catch (error) {
        this.#failed(error);
      }
      this.#end(key);
    };
    return {
      delivered: () => void end((store) => store.commit(key, token, window)),
      failed: () => void end(async (store) => (token === null ? undefined : store.release(key, token))),
    };
  }

  #failed(error: unknown): void {
    this.#options.onFailure();
    this.setTrouble(error instanceof Error ? error.message : String(error));
  }

  #end(key: string): void {
    const twins = this.#underWay.get(key);
    this.#underWay.delete(key);
    for (const wake of twins ?? []) wake();
    if (this.#underWay.size === 0) this.#onSettled?.();
  }
}

/** True when it was woken, false when it is too late or the client has left. */
function woken(sleepers: Set<() => void>, until: number, client: AbortSignal): Promise<boolean> {
  if (client.aborted) return Promise.resolve(false);
  return new Promise((resolve) => {
    const end = (result: boolean) => {
      clearTimeout(timer);
      client.removeEventListener('abort', leave);
      sleepers.delete(wake);
      resolve(result);
    };
    const wake = () => end(true);
    const leave = () => end(false);
    const timer = setTimeout(leave, until - performance.now());
    client.addEventListener('abort', leave);
    sleepers.add(wake);
  });
}
