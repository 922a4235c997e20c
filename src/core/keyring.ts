// The secrets of a policy: which a route lists, and which are live. verdict.ts tries them, in the order of this list. A
// secret's value exists only in a KeyObject and is never printed.
import type { KeyObject } from 'node:crypto';
import { clockText, outsideText, stateOf } from './secret-validity.ts';

export interface Secret {
  readonly id: string;
  readonly key: KeyObject;
  /** Epoch milliseconds; null for no bound. Valid from `notBefore` on and before `notAfter`. */
  readonly notBefore: number | null;
  readonly notAfter: number | null;
}

const PREVIOUS = '.previous';

/** The id of a secret's previous value. No file or variable can have it. */
export const previousOf = (id: string) => id + PREVIOUS;

export const isPrevious = (id: string) => id.endsWith(PREVIOUS);

/** The id by which routes list a secret: its own, or for a previous value that of its successor. */
export const currentOf = (id: string) => (isPrevious(id) ? id.slice(0, -PREVIOUS.length) : id);

/** True if a route's list names the secret. An id includes its previous value during the overlap. */
export function isListed(id: string, listed: readonly string[] | null): boolean {
  return listed === null || listed.includes(id) || listed.includes(currentOf(id));
}

export class Keyring {
  readonly secrets: readonly Secret[];
  /** Keyed by identity: a route's list is one frozen array, so a request costs one lookup. */
  readonly #chosen = new WeakMap<readonly string[], readonly Secret[]>();

  constructor(secrets: readonly Secret[]) {
    this.secrets = secrets;
  }

  /** The secrets that a list of ids names, whatever their state; all of them for null. */
  listed(ids: readonly string[] | null): readonly Secret[] {
    if (ids === null) return this.secrets;
    let chosen = this.#chosen.get(ids);
    if (chosen === undefined) {
      chosen = this.secrets.filter((secret) => isListed(secret.id, ids));
      this.#chosen.set(ids, chosen);
    }
    return chosen;
  }

  /** The listed secrets that are not live at `now`, and why, for people; null if there are none. */
  whyNoneLive(ids: readonly string[] | null, now: number): string | null {
    const outside = this.listed(ids).filter((secret) => stateOf(secret, now) !== 'live');
    const texts = outside.map((secret) => `secret ${secret.id} ${outsideText(secret, now)}`);
    return texts.length === 0 ? null : `${texts.join('; ')}; ${clockText(now)}`;
  }

  /** The listed secrets that are live at `now` (epoch milliseconds): the array of `listed` itself if all are. */
  live(ids: readonly string[] | null, now: number): readonly Secret[] {
    const listed = this.listed(ids);
    if (listed.every((secret) => stateOf(secret, now) === 'live')) return listed;
    return listed.filter((secret) => stateOf(secret, now) === 'live');
  }
}
