// Times and spans in sentences and on the page.

/** Milliseconds. */
export const SECOND = 1000;
export const MINUTE = 60_000;
export const QUARTER = 15 * MINUTE;
export const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;

/** Epoch milliseconds as `2026-11-24 12:00 UTC`. */
export function dateText(ms: number | null): string {
  return `${new Date(ms ?? 0).toISOString().slice(0, 16).replace('T', ' ')} UTC`;
}

/** Epoch milliseconds as `12:00 UTC`, with the date if it is more than half a day away. */
export function clock(at: number, now: number): string {
  return Math.abs(now - at) < 12 * HOUR ? dateText(at).slice(11) : dateText(at);
}

/** `9 min ago (11:51 UTC)`. */
export const ago = (at: number, now: number): string => `${spanText(now - at)} ago (${clock(at, now)})`;

/** How long before its end something has nearly ended: an hour, or a quarter of its time if that is shorter. */
export const nearly = ({ at, came }: { at: number; came: number }) => Math.min(HOUR, (at - came) / 4);

const UNITS = { days: DAY, h: HOUR, min: MINUTE };

/** A span of milliseconds in the largest unit of which it has at least two (`30 h`, not `1 days`), never below 0. */
export function spanText(ms: number): string {
  const [unit, size] = Object.entries(UNITS).find(([, size]) => ms >= 2 * size) ?? ['s', 1000];
  return `${unit === 's' ? Math.round(Math.max(0, ms) / size) : Math.floor(ms / size)} ${unit}`;
}
