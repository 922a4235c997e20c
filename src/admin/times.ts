// How times and spans are written on the status page and in the advice.
import { type Html, html } from './html.ts';

/** Milliseconds. */
export const MINUTE = 60_000;
export const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;

/** Epoch milliseconds as `2026-11-24 12:00 UTC`. */
export function dateText(ms: number | null): string {
  return `${new Date(ms ?? 0).toISOString().slice(0, 16).replace('T', ' ')} UTC`;
}

/** Epoch milliseconds as `3 min ago` or `in 2 days`, with the exact time as its title. */
export function when(at: number, now: number): Html {
  const iso = new Date(at).toISOString();
  // What happened while the snapshot was taken is a moment ahead of it.
  const isAhead = at - now >= 1000;
  const span = spanText(isAhead ? at - now : Math.max(0, now - at));
  return html`<time datetime="${iso}" title="${iso}">${isAhead ? `in ${span}` : `${span} ago`}</time>`;
}

const UNITS = { days: DAY, h: HOUR, min: MINUTE };

/** Milliseconds in the largest unit that gives at least two (`30 h`, not `1 d`). */
export function spanText(ms: number): string {
  const [unit, size] = Object.entries(UNITS).find(([, size]) => ms >= 2 * size) ?? ['s', 1000];
  return `${Math.floor(ms / size)} ${unit}`;
}
