// Deliver once: the first delivery of an event proceeds, its twins wait for it, and duplicates are answered.
// The store may fail at any time: then onStoreFailure decides, and no request hangs.
import type { DeliveryLease } from '../core/record.ts';
import { eventKey, type OnceStore, type OnTrouble } from './store.ts';

/** `refuse`: the store failed and the config says so, or its twin is still in flight, or too many twins wait. */
export type Turn = DeliveryLease | 'duplicate' | 'refuse' | 'left';

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

export class Deliveries {
  readonly #options: DeliveriesOptions;
  readonly #store: Promise<OnceStore>;
  readonly #underWay = new Map<string, UnderWay>();
  #onSettled: (() => void) | null = null;
  /** As the store counts them. */
  entries = () => 0;
  /** Failures of the store since the start. */
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

  /** Waits for its turn, as long as `patience`; never rejects. */
  async turn(request: DeliveryRequest): Promise<Turn> {
    const key = eventKey(request.path, request.body);
    const until = performance.now() + request.patience;
    for (let first = this.#underWay.get(key); first !== undefined; first = this.#underWay.get(key)) {
      if (first.delivers && first.twins.size >= MOST_TWINS) return 'refuse';
      const turn = await woken(first.twins, until, request.client);
      if (turn !== null) return turn;
    }
    // No `await` since the lookup, so exactly one twin proceeds.
    const own: UnderWay = { twins: new Set(), delivers: false };
    this.#underWay.set(key, own);
    const turn = await this.#claim(key, own, { ...request, until });
    if (typeof turn === 'string') this.#end(key, turn === 'duplicate' ? turn : null);
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
    const timer = setTimeout(() => this.#onSettled?.(), CLOSE_MS);
    await this.settled();
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
      for (let claim = await store.claim(key); claim !== 'first'; claim = await store.claim(key)) {
        if (claim === 'delivered') return 'duplicate';
        delivers(own);
        const pause = await woken(new Set(), performance.now() + LOOK_EVERY_MS, client);
        if (pause === 'left' || performance.now() >= until) return pause ?? 'refuse';
      }
    } catch (error) {
      this.#failed(error);
      // Else it is not claimed, but still recorded if the store is back when the delivery ends.
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
  for (const wake of [...event.twins].slice(MOST_TWINS)) wake('refuse');
}

/** Gives the turn that it is woken with; `refuse` on timeout, `left` if the client has left. */
function woken(sleepers: Set<Wake>, until: number, client: AbortSignal): Promise<Turn | null> {
  if (client.aborted) return Promise.resolve('left');
  return new Promise((resolve) => {
    const wake: Wake = (turn) => {
      clearTimeout(timer);
      client.removeEventListener('abort', leave);
      sleepers.delete(wake);
      resolve(turn);
    };
    const leave = () => wake('left');
    const timer = setTimeout(() => wake('refuse'), until - performance.now());
    client.addEventListener('abort', leave);
    sleepers.add(wake);
  });
}
