// Amounts and times in the sentences of the advice.
import type { StatusSnapshot } from './status-snapshot.ts';

export function count(amount: number, noun: string, plural = `${noun}s`): string {
  return `${amount} ${amount === 1 ? noun : plural}`;
}

/** Epoch milliseconds as `2026-11-24 12:00 UTC`. */
export function dateText(ms: number | null): string {
  return `${new Date(ms ?? 0).toISOString().slice(0, 16).replace('T', ' ')} UTC`;
}

/** The span that the counts of requests cover. */
export function lately({ recent }: StatusSnapshot): string {
  return `in the last ${Math.round(recent.windowSeconds / 60)} minutes`;
}

/** The sum of a curve. */
export const inAnHour = (minutes: readonly number[]) => minutes.reduce((total, minute) => total + minute, 0);

export const acceptedInAnHour = ({ recent: { hour } }: StatusSnapshot) =>
  inAnHour(hour.accepted) + inAnHour(hour.duplicate);
