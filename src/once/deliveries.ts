// Deliver once (spec §12): the first delivery of an event goes on, its twins wait for it, duplicates are answered.
// The store may fail at any time: then onStoreFailure decides, and no request hangs on it.
import { eventKey, type OnceStore } from './store.ts';

/** What an event's delivery needs to be told at its end. Exactly one of them is called, once. */
export interface Hold {
  /** The upstream answered 2xx, to the end. */
  delivered(): void;
  /** Anything else: a retry goes through. */
  failed(): void;
}

export type Turn =
  | { readonly kind: 'deliver'; readonly hold: Hold | null }
  | { readonly kind: 'duplicate' }
  /** The store failed and the config says refuse, or the twin is still on its way after all this time. */
  | { readonly kind: 'refuse' }
  | { readonly kind: 'left' };

export interface DeliveriesOptions {
  readonly store: OnceStore;
  readonly onStoreFailure: 'forward' | 'refuse';
  readonly countFailure: (error: unknown) => void;
}

export interface DeliveryRequest {
  readonly path: string;
  readonly body: Uint8Array;
  /** Milliseconds for which a delivered event is remembered. */
  readonly window: number;
  /** Milliseconds that it may wait for a twin. */
  readonly patience: number;
  readonly clientLeft: () => boolean;
}

/** How long a twin waits before it looks again whether its client is still there. */
const LOOK_EVERY_MS = 1000;

export class Deliveries {
  readonly #options: DeliveriesOptions;

  constructor(options: DeliveriesOptions) {
    this.#options = options;
  }

  /** Waits for its turn, as long as `patience`; never rejects. */
  async turn(request: DeliveryRequest): Promise<Turn> {
    const { store, onStoreFailure } = this.#options;
    const key = eventKey(request.path, request.body);
    const until = performance.now() + request.patience;
    try {
      while (!request.clientLeft()) {
        const claim = await store.claim(key);
        if (claim.kind === 'delivered') return { kind: 'duplicate' };
        if (claim.kind === 'first') return { kind: 'deliver', hold: this.#hold(key, claim.token, request.window) };
        const left = until - performance.now();
        if (left <= 0) return { kind: 'refuse' };
        await store.change(key, Math.min(left, LOOK_EVERY_MS));
      }
      return { kind: 'left' };
    } catch (error) {
      this.#options.countFailure(error);
      return onStoreFailure === 'forward' ? { kind: 'deliver', hold: null } : { kind: 'refuse' };
    }
  }

  #hold(key: string, token: string, window: number): Hold {
    const { store, countFailure } = this.#options;
    let open = true;
    const end = (settle: () => Promise<void>) => {
      if (!open) return;
      open = false;
      settle().catch(countFailure);
    };
    return {
      delivered: () => end(() => store.commit(key, token, window)),
      failed: () => end(() => store.release(key, token)),
    };
  }
}
