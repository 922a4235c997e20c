// Amounts in the sentences of the advice.
import type { StatusSnapshot } from './status-snapshot.ts';

export function count(amount: number, noun: string, plural = `${noun}s`): string {
  return `${amount} ${amount === 1 ? noun : plural}`;
}

/** The span that the counts of requests cover. */
export function lately({ recent }: StatusSnapshot): string {
  return `in the last ${Math.round(recent.windowSeconds / 60)} minutes`;
}

/** The sum of a curve. */
export const inAnHour = (minutes: readonly number[]) => minutes.reduce((total, minute) => total + minute, 0);

export const acceptedInAnHour = ({ recent: { hour } }: StatusSnapshot) =>
  inAnHour(hour.accepted) + inAnHour(hour.duplicate) + inAnHour(hour.deferred);
