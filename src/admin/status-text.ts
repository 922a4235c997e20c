// How the status page writes times, spans and sizes for people.
import { type Html, html } from './html.ts';

/** Epoch milliseconds as `3 min ago` or `in 2 days`, with the exact time behind it. */
export function when(at: number, now: number): Html {
  const iso = new Date(at).toISOString();
  const span = spanText(Math.abs(now - at));
  return html`<time datetime="${iso}" title="${iso}">${at <= now ? `${span} ago` : `in ${span}`}</time>`;
}

const UNITS: readonly (readonly [string, number])[] = [
  ['day', 86_400_000],
  ['h', 3_600_000],
  ['min', 60_000],
  ['s', 1000],
];

/** Milliseconds, in the largest unit of which there are at least two (a single day reads better as `30 h`). */
export function spanText(ms: number): string {
  for (const [unit, size] of UNITS) {
    const amount = Math.floor(ms / size);
    if (amount >= 2) return `${amount} ${unit}${unit === 'day' ? 's' : ''}`;
  }
  return `${Math.floor(ms / 1000)} s`;
}

/** Bytes as the configuration spells them: `512`, `64KiB`, `1MiB`. */
export function sizeText(bytes: number): string {
  if (bytes >= 1 << 20 && bytes % (1 << 20) === 0) return `${bytes / (1 << 20)}MiB`;
  if (bytes >= 1024 && bytes % 1024 === 0) return `${bytes / 1024}KiB`;
  return String(bytes);
}
