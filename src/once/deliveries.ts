// Deliver once: the first request for an event proceeds, its twins wait for it, and duplicates are answered.
// The store may fail at any time: then onStoreFailure decides, and no request hangs.
import type { DeliveryLease } from '../core/record.ts';
import { eventKey, type OnceStore, type OnTrouble } from './store.ts';

/** `refuse`: the store failed and the config says so, its twin takes too long, or too many twins wait. */
export type Admission = DeliveryLease | 'duplicate' | 'refuse' | 'left';

export interface DeliveriesOptions {
  /** Opens the store, which may report problems at any time. */
  readonly open: (onTrouble: OnTrouble) => Promise<OnceStore>;
  readonly onStoreFailure: 'forward' | 'refuse';
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
type Wake = (admission: Admission | null) => void;

/** An event that this process is delivering, or claiming in the store. */
interface UnderWay {
  readonly twins: Set<Wake>;
  /** True once it is being delivered, here or elsewhere. Before, twins wait for the store: about a second at most. */
  delivers: boolean;
}

/** Each waiting twin holds its body: replays of one event must not fill the byte budget. */
const MAX_TWINS = 16;
/** The pause between two checks of an event that another process is delivering. */
const CHECK_EVERY_MS = 100;
/** The store has its own limit of about a second. */
const CLOSE_MS = 2000;

export class Deliveries {
  readonly #options: DeliveriesOptions;
  readonly #store: Promise<OnceStore>;
  readonly #underWay = new Map<string, UnderWay>();
  #onSettled: (() => void) | null = null;
  /** The store's own count. */
  entries = () => 0;
  failures = 0;
  /** The current problem with the store; null if none is known. */
  trouble: string | null = null;

  constructor(options: DeliveriesOptions) {
    this.#options = options;
    this.#store = options.open((trouble) => this.#setTrouble(trouble));
    this.#store.then(
      ({ entries }) => {
        this.entries = entries;
      },
      () => {}, // each claim reports the failure
    );
  }

  /** Waits for twins of the request, as long as `patience`, and says what to do with it; never rejects. */
  async admit(request: DeliveryRequest): Promise<Admission> {
    const key = eventKey(request.path, request.body);
    const until = performance.now() + request.patience;
    for (let first = this.#underWay.get(key); first !== undefined; first = this.#underWay.get(key)) {
      if (first.delivers && first.twins.size >= MAX_TWINS) return 'refuse';
      const admission = await woken(first.twins, until, request.client);
      if (admission !== null) return admission;
    }
    // No `await` since the lookup, so exactly one twin proceeds.
    const own: UnderWay = { twins: new Set(), delivers: false };
    this.#underWay.set(key, own);
    const admission = await this.#claim(key, own, { ...request, until });
    if (typeof admission === 'string') this.#end(key, admission === 'duplicate' ? admission : null);
    return admission;
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
    const timer = setTimeout(() => this.#onSettled?.(), CLOSE_MS);
    await this.settled();
    clearTimeout(timer);
    await this.#store.then(
      (store) => store.close(),
      () => {},
    );
  }

  async #claim(key: string, own: UnderWay, request: DeliveryRequest & { until: number }): Promise<Admission> {
    const { window, client, until } = request;
    try {
      const store = await this.#store;
      for (let claim = await store.claim(key); claim !== 'first'; claim = await store.claim(key)) {
        if (claim === 'delivered') return 'duplicate';
        delivers(own);
        const pause = await woken(new Set(), performance.now() + CHECK_EVERY_MS, client);
        if (pause === 'left' || performance.now() >= until) return pause ?? 'refuse';
      }
    } catch (error) {
      this.#failed(error);
      // Otherwise it is delivered without a claim, and still recorded if the store works again at the end.
      if (this.#options.onStoreFailure === 'refuse') return 'refuse';
    }
    delivers(own);
    return this.#lease(key, window);
  }

  #lease(key: string, window: number): DeliveryLease {
    let open = true;
    const end = async (fate: 'duplicate' | null) => {
      if (!open) return;
      open = false;
      try {
        const store = await this.#store;
        if (fate === null) await store.release(key);
        else await store.commit(key, window);
      } catch (error) {
        this.#failed(error);
      }
      this.#end(key, fate);
    };
    return { delivered: () => void end('duplicate'), failed: () => void end(null) };
  }

  #failed(error: unknown): void {
    this.failures++;
    this.#setTrouble(error instanceof Error ? error.message : String(error));
  }

  #setTrouble(trouble: string | null): void {
    const changed = (trouble === null) !== (this.trouble === null);
    this.trouble = trouble;
    if (changed) this.#options.onTrouble(trouble);
  }

  /** `fate`: the admission of its twins; null if one of them may deliver next. */
  #end(key: string, fate: Admission | null): void {
    const twins = [...(this.#underWay.get(key)?.twins ?? [])];
    this.#underWay.delete(key);
    for (const wake of twins) wake(fate);
    if (this.#underWay.size === 0) this.#onSettled?.();
  }
}

/** Marks the event as being delivered. The upstream may take long, so from now on only a few twins may wait. */
function delivers(event: UnderWay): void {
  event.delivers = true;
  for (const wake of [...event.twins].slice(MAX_TWINS)) wake('refuse');
}

/** Waits to be woken, and returns the admission given then; `refuse` on timeout, `left` if the client has left. */
function woken(sleepers: Set<Wake>, until: number, client: AbortSignal): Promise<Admission | null> {
  if (client.aborted) return Promise.resolve('left');
  return new Promise((resolve) => {
    const wake: Wake = (admission) => {
      clearTimeout(timer);
      client.removeEventListener('abort', leave);
      sleepers.delete(wake);
      resolve(admission);
    };
    const leave = () => wake('left');
    const timer = setTimeout(() => wake('refuse'), until - performance.now());
    client.addEventListener('abort', leave);
    sleepers.add(wake);
  });
}
