// When a secret is valid, and the one text that says why it is not.
import type { Secret } from './keyring.ts';

type Validity = Pick<Secret, 'notBefore' | 'notAfter' | 'ended'>;
export type SecretState = 'live' | 'not_yet' | 'expired';

export function stateOf({ notBefore, notAfter, ended }: Validity, now: number): SecretState {
  if (ended) return 'expired';
  if (notBefore !== null && now < notBefore) return 'not_yet';
  return notAfter !== null && now >= notAfter ? 'expired' : 'live';
}

/** Why a secret is not live, for people: `expired at 2026-12-01T00:00:00Z`. `date`: how dates are written. */
export function whyOutside(
  state: Exclude<SecretState, 'live'>,
  { notBefore, notAfter }: Validity,
  date: (ms: number | null) => string = isoDate,
): string {
  return state === 'expired' ? `expired at ${date(notAfter)}` : `not valid before ${date(notBefore)}`;
}

/** The same at `now`; null for a live one. */
export function outsideText(secret: Validity, now: number): string | null {
  const state = stateOf(secret, now);
  return state === 'live' ? null : whyOutside(state, secret);
}

/** The same with the clock that says so, which may be the one that is wrong. */
export function outsideByClock(secret: Validity, now: number): string | null {
  const text = outsideText(secret, now);
  return text === null ? null : `${text}; ${clockText(now)}`;
}

export const clockText = (now: number) => `this machine's clock says ${isoDate(now - (now % 1000))}`;

const isoDate = (ms: number | null) => new Date(ms ?? 0).toISOString().replace('.000Z', 'Z');
