// Deliver once: the first delivery of an event proceeds, its twins wait for it, and duplicates are answered.
// The store may fail at any time: then onStoreFailure decides, and no request hangs.
import type { DeliveryLease } from '../core/record.ts';
import { eventKey, type OnceStore, type OnTrouble } from './store.ts';

export type Turn =
  | { readonly kind: 'deliver'; readonly lease: DeliveryLease }
  | { readonly kind: 'duplicate' }
  /** The store failed and the config says refuse, or its twin is still in flight, or too many twins wait. */
  | { readonly kind: 'refuse' }
  | { readonly kind: 'left' };

export interface DeliveriesOptions {
  /** Opens the store, which may report problems at any time. */
  readonly open: (onTrouble: OnTrouble) => Promise<OnceStore>;
  readonly onStoreFailure: 'forward' | 'refuse';
  /** Called for each failure of the store. */
  readonly onFailure: () => void;
  /** Called when the store starts to fail and when it works again. */
  readonly onTrouble: OnTrouble;
}

export interface DeliveryRequest {
  readonly path: string;
  readonly body: Uint8Array;
  /** How long a delivered event is remembered, in milliseconds. */
  readonly window: number;
  /** The longest wait for a twin, in milliseconds. */
  readonly patience: number;
  /** Aborted when the client has left. */
  readonly client: AbortSignal;
}

/** Called when the outcome of an event is known, or with null if the waiting twin must try again. */
type Wake = (turn: Turn | null) => void;

/** An event that this process is delivering, or claiming in the store. */
interface UnderWay {
  readonly twins: Set<Wake>;
  /** True once it is being delivered, here or in another process. The store answers within about a second. */
  delivers: boolean;
}

/** Each waiting twin holds its body: replays of one event must not fill the byte budget. */
const MOST_TWINS = 16;
/** The pause between two checks of an event that another process is delivering. */
const LOOK_EVERY_MS = 100;
/** The store has its own limit of about a second. */
const CLOSE_MS = 2000;

const DUPLICATE: Turn = { kind: 'duplicate' };
const REFUSE: Turn = { kind: 'refuse' };
const LEFT: Turn = { kind: 'left' };

export class Deliveries {
  readonly #options: DeliveriesOptions;
  readonly #store: Promise<OnceStore>;
  readonly #underWay = new Map<string, UnderWay>();
  #entries: () => number = () => 0;
  #trouble: string | null = null;
  #onSettled: (() => void) | null = null;

  constructor(options: DeliveriesOptions) {
    this.#options = options;
    this.#store = options.open((trouble) => this.#setTrouble(trouble));
    this.#store.then(
      (store) => {
        this.#entries = () => store.entries();
      },
      () => {}, // each claim reports the failure
    );
  }

  get entries(): number {
    return this.#entries();
  }

  /** The current problem with the store; null if none is known. */
  get trouble(): string | null {
    return this.#trouble;
  }

  /** Waits for its turn, as long as `patience`; never rejects. */
  async turn(request: DeliveryRequest): Promise<Turn> {
    const key = eventKey(request.path, request.body);
    const until = performance.now() + request.patience;
    for (let first = this.#underWay.get(key); first !== undefined; first = this.#underWay.get(key)) {
      if (first.delivers && first.twins.size >= MOST_TWINS) return REFUSE;
      const turn = await woken(first.twins, until, request.client);
      if (turn !== null) return turn;
    }
    // No `await` since the lookup, so exactly one twin proceeds.
    const own: UnderWay = { twins: new Set(), delivers: false };
    this.#underWay.set(key, own);
    const turn = await this.#claim(key, own, { ...request, until });
    if (turn.kind !== 'deliver') this.#end(key, turn.kind === 'duplicate' ? turn : null);
    else delivers(own);
    return turn;
  }

  /** Resolves when no delivery is in flight and the store has all outcomes. */
  settled(): Promise<void> {
    return new Promise((resolve) => {
      this.#onSettled = resolve;
      if (this.#underWay.size === 0) resolve();
    });
  }

  /** Gives the store a moment to receive the last outcomes. */
  async close(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, CLOSE_MS);
    await Promise.race([this.settled(), promise]);
    clearTimeout(timer);
    await this.#store.then(
      (store) => store.close(),
      () => {},
    );
  }

  async #claim(key: string, own: UnderWay, request: DeliveryRequest & { until: number }): Promise<Turn> {
    const { window, client, until } = request;
    try {
      const store = await this.#store;
      for (;;) {
        const claim = await store.claim(key);
        if (claim.kind === 'delivered') return DUPLICATE;
        if (claim.kind === 'first') return { kind: 'deliver', lease: this.#lease(key, claim.token, window) };
        delivers(own);
        const pause = await woken(new Set(), performance.now() + LOOK_EVERY_MS, client);
        if (pause === LEFT || performance.now() >= until) return pause ?? REFUSE;
      }
    } catch (error) {
      this.#failed(error);
      if (this.#options.onStoreFailure === 'refuse') return REFUSE;
      // Not claimed, but still recorded if the store is back when the delivery ends.
      return { kind: 'deliver', lease: this.#lease(key, null, window) };
    }
  }

  #lease(key: string, token: string | null, window: number): DeliveryLease {
    let open = true;
    const end = async (fate: Turn | null) => {
      if (!open) return;
      open = false;
      try {
        const store = await this.#store;
        if (fate === DUPLICATE) await store.commit(key, token, window);
        else if (token !== null) await store.release(key, token);
      } catch (error) {
        this.#failed(error);
      }
      this.#end(key, fate);
    };
    return { delivered: () => void end(DUPLICATE), failed: () => void end(null) };
  }

  #failed(error: unknown): void {
    this.#options.onFailure();
    this.#setTrouble(error instanceof Error ? error.message : String(error));
  }

  #setTrouble(trouble: string | null): void {
    const changed = (trouble === null) !== (this.#trouble === null);
    this.#trouble = trouble;
    if (changed) this.#options.onTrouble(trouble);
  }

  /** `fate`: the turn of its twins; null if one of them may deliver next. */
  #end(key: string, fate: Turn | null): void {
    const twins = [...(this.#underWay.get(key)?.twins ?? [])];
    this.#underWay.delete(key);
    for (const wake of twins) wake(fate);
    if (this.#underWay.size === 0) this.#onSettled?.();
  }
}

/** A delivery may take as long as the upstream allows, so from now on only a few twins may wait. */
function delivers(event: UnderWay): void {
  event.delivers = true;
  for (const wake of [...event.twins].slice(MOST_TWINS)) wake(REFUSE);
}

/** Gives the turn that it is woken with; `refuse` on timeout, `left` if the client has left. */
function woken(sleepers: Set<Wake>, until: number, client: AbortSignal): Promise<Turn | null> {
  if (client.aborted) return Promise.resolve(LEFT);
  return new Promise((resolve) => {
    const wake: Wake = (turn) => {
      clearTimeout(timer);
      client.removeEventListener('abort', leave);
      sleepers.delete(wake);
      resolve(turn);
    };
    const leave = () => wake(LEFT);
    const timer = setTimeout(() => wake(REFUSE), until - performance.now());
    client.addEventListener('abort', leave);
    sleepers.add(wake);
  });
}
