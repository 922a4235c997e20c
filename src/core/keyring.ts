// The secrets of a policy: which of them a route lists, which are live, and which one signed a body. The verdict is in
// permit.ts. A secret's value exists only in a KeyObject and is never printed.
import type { Buffer } from 'node:buffer';
import type { KeyObject } from 'node:crypto';
import { signs } from './signature.ts';

export interface Secret {
  readonly id: string;
  readonly key: KeyObject;
  /** Epoch milliseconds; null for no bound. The key is valid from `notBefore`, and no longer at `notAfter`. */
  readonly notBefore: number | null;
  readonly notAfter: number | null;
  /** True if a person has ended the secret for good: setting the clock back does not revive it. */
  readonly ended?: true;
}

const PREVIOUS = '.previous';

/** The id of a secret's previous value. No configured secret may have such an id. */
export const previousOf = (id: string) => id + PREVIOUS;

export const isPrevious = (id: string) => id.endsWith(PREVIOUS);

/** The id by which routes list a secret: its own, or for a previous value the id without `.previous`. */
export const currentOf = (id: string) => (isPrevious(id) ? id.slice(0, -PREVIOUS.length) : id);

/** True if a route's list names the secret; a null list names all. An id also names the secret's previous value. */
export function isListed(id: string, listed: readonly string[] | null): boolean {
  return listed === null || listed.includes(id) || listed.includes(currentOf(id));
}

export class Keyring {
  readonly secrets: readonly Secret[];

  constructor(secrets: readonly Secret[]) {
    this.secrets = secrets;
  }

  /** The secrets that a list of ids names, whatever their state; all of them for null. */
  listed(ids: readonly string[] | null): readonly Secret[] {
    return this.secrets.filter(({ id }) => isListed(id, ids));
  }

  /** A text for the operator: which listed secrets are not live at `now`, and why; null if there are none. */
  whyNoneLive(ids: readonly string[] | null, now: number): string | null {
    const texts = this.listed(ids).flatMap((secret) => {
      const state = stateOf(secret, now);
      return state === 'live' ? [] : `secret ${secret.id} ${whyOutside(state, secret)}`;
    });
    return texts.length === 0 ? null : `${texts.join('; ')}; ${clockText(now)}`;
  }

  /** The listed secrets that are live at `now` (epoch milliseconds). */
  live(ids: readonly string[] | null, now: number): readonly Secret[] {
    const isLive = (secret: Secret) => isListed(secret.id, ids) && stateOf(secret, now) === 'live';
    return this.secrets.every(isLive) ? this.secrets : this.secrets.filter(isLive); // mostly no list is made
  }
}

/** The first secret that signs the body as `digest`, or null. Tries all: timing must not tell which it is. */
export function firstMatch(secrets: readonly Secret[], body: Buffer, digest: Buffer): Secret | null {
  let match: Secret | null = null;
  for (const secret of secrets) if (signs(secret.key, body, digest)) match ??= secret;
  return match;
}

// --- when a secret is valid, and the one text that says why it is not

type Validity = Pick<Secret, 'notBefore' | 'notAfter' | 'ended'>;
type SecretState = 'live' | 'not_yet' | 'expired';

export function stateOf({ notBefore, notAfter, ended }: Validity, now: number): SecretState {
  if (ended) return 'expired';
  if (notBefore !== null && now < notBefore) return 'not_yet';
  return notAfter !== null && now >= notAfter ? 'expired' : 'live';
}

/** Why a secret is not live, as a text: `expired at 2026-12-01T00:00:00Z`. `date` formats a date. */
export function whyOutside(
  state: Exclude<SecretState, 'live'>,
  { notBefore, notAfter }: Validity,
  date: (ms: number | null) => string = isoDate,
): string {
  return state === 'expired' ? `expired at ${date(notAfter)}` : `not valid before ${date(notBefore)}`;
}

/** Why a secret is not live at `now`, with this machine's time, since its clock may be wrong; null if it is live. */
export function outsideByClock(secret: Validity, now: number): string | null {
  const state = stateOf(secret, now);
  return state === 'live' ? null : `${whyOutside(state, secret)}; ${clockText(now)}`;
}

export const clockText = (now: number, date = isoDate) => `this machine's clock says ${date(now - (now % 1000))}`;

export const isoDate = (ms: number | null) => new Date(ms ?? 0).toISOString().replace('.000Z', 'Z');
