// The secrets of one policy, and which of them a route may use. A value lives in a KeyObject alone and is never printed.
import type { KeyObject } from 'node:crypto';

export interface Secret {
  readonly id: string;
  readonly key: KeyObject;
  /** Epoch milliseconds; null where open. Valid from `notBefore` on and before `notAfter`. */
  readonly notBefore: number | null;
  readonly notAfter: number | null;
}

export type SecretState = 'live' | 'not_yet' | 'expired';

export function stateOf(secret: Pick<Secret, 'notBefore' | 'notAfter'>, now: number): SecretState {
  if (secret.notBefore !== null && now < secret.notBefore) return 'not_yet';
  return secret.notAfter !== null && now >= secret.notAfter ? 'expired' : 'live';
}

/** When a secret that is not live ended or begins, for people: `expired at 2026-12-01T00:00:00Z`; null for a live one. */
export function outsideText(secret: Pick<Secret, 'notBefore' | 'notAfter'>, now: number): string | null {
  const { notBefore, notAfter } = secret;
  if (notBefore !== null && now < notBefore) return `not valid before ${isoDate(notBefore)}`;
  return notAfter !== null && now >= notAfter ? `expired at ${isoDate(notAfter)}` : null;
}

const isoDate = (ms: number) => new Date(ms).toISOString().replace('.000Z', 'Z');

/** A route that lists `current` means the value before it too, while that overlaps. */
export function isListed(id: string, listed: readonly string[] | null): boolean {
  if (listed === null || listed.includes(id)) return true;
  return id.endsWith('.previous') && listed.includes(id.slice(0, -'.previous'.length));
}

const NONE: readonly Secret[] = [];

export class Keyring {
  readonly secrets: readonly Secret[];
  /** By the list's identity: a route's list is one frozen array, so this costs a look-up a request. */
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

  /** Which of them are outside their validity at `now`, for people; null where none is, whatever the reason then. */
  whyNoneLive(ids: readonly string[] | null, now: number): string | null {
    const outside = this.listed(ids).flatMap((secret) => {
      const text = outsideText(secret, now);
      return text === null ? [] : [`secret ${secret.id} ${text}`];
    });
    return outside.length === 0 ? null : outside.join('; ');
  }

  /** The live ones among them at `now` (epoch milliseconds). Without validity bounds this is `listed` itself. */
  live(ids: readonly string[] | null, now: number): readonly Secret[] {
    const listed = this.listed(ids);
    if (listed.every((secret) => stateOf(secret, now) === 'live')) return listed.length === 0 ? NONE : listed;
    return listed.filter((secret) => stateOf(secret, now) === 'live');
  }
}
