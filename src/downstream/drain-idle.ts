// In a drain idle connections end late in `shutdown.delay`, a few at a time: balancers have noticed by then, and the app
// still serves. A close that crosses the client's next request loses it, so none ends when that request is likely.
import type { Connection } from './connection.ts';

/** The part of the delay in which they end, and in how many steps. */
const FROM = 0.6;
const TO = 0.9;
const STEPS = 75;
/** The part of the delay by which a request may miss its rhythm. */
const MARGIN = 0.05;

/** `delay` in milliseconds. Clearing the timer keeps those that do not end yet. */
export function endIdleLate(all: () => readonly Connection[], delay: number): NodeJS.Timeout {
  const began = performance.now();
  const step = (delay * (TO - FROM)) / STEPS;
  const timer = setInterval(() => {
    const now = performance.now();
    const part = (now - began) / delay;
    if (part < FROM) return;
    // Silent connections stay: their first request is on its way.
    const idle = all().filter(({ state }) => state === 'idle');
    // Those that are due wait for their request a little longer than the others.
    const stepsToGo = Math.max(1, ((TO - MARGIN - part) * delay) / step);
    const few = leastLikely(idle, Math.ceil(idle.length / stepsToGo), { at: now, margin: delay * MARGIN });
    for (const connection of part < TO ? few : idle) connection.closeIdle();
    if (part >= TO) clearInterval(timer);
  }, step);
  return timer.unref();
}

/**
 * At most `count` idle connections on which a request is least likely now. Not one that was as long idle before its last
 * request as it is now, give or take `margin`. Of the others those in the middle: a pool uses the one that was used last,
 * or the one that was used longest ago.
 */
export function leastLikely<T extends Pick<Connection, 'since' | 'requestedAt' | 'interval'>>(
  idle: readonly T[],
  count: number,
  { at, margin }: { readonly at: number; readonly margin: number },
): readonly T[] {
  const isDue = ({ requestedAt, interval }: T) => Math.abs(requestedAt + interval - at) < margin;
  const others = idle.filter((connection) => !isDue(connection)).sort((a, b) => a.since - b.since);
  const from = Math.max(0, Math.ceil((others.length - count) / 2));
  return others.slice(from, from + count);
}
