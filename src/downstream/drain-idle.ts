// In a drain, idle connections end late in `shutdown.delay`, a few at a time: load balancers have noticed by then, and
// the app still serves. A close that crosses a client's next request loses that request, so none ends if one is likely.
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import type { Connection } from './connection.ts';

/** The fractions of the delay between which idle connections end, and the number of steps in which they do. */
const FROM = 0.6;
const TO = 0.9;
const STEPS = 75;
/** The fraction of the delay by which a periodic request may come early or late and still be expected. */
const MARGIN = 0.1;
/** Milliseconds after which a new connection without a request counts as idle. */
const SILENT_MS = 1000;
/** A turn of the event loop that takes fewer milliseconds than this is quiet; and the most turns to wait for one. */
const QUIET_MS = 0.25;
const MAX_TURNS = 50;

/** Ends idle connections. `delay`: milliseconds. Rejects once aborted: connections that have not ended by then stay. */
export async function endIdleLate(all: () => readonly Connection[], delay: number, signal: AbortSignal): Promise<void> {
  const began = performance.now();
  const step = (delay * (TO - FROM)) / STEPS;
  let part = 0;
  let last = began + delay * FROM - step;
  for (let wait = delay * FROM; part < TO; wait = step) {
    await sleep(wait, null, { ref: false, signal });
    const now = performance.now();
    part = (now - began) / delay;
    const idle = all().filter((connection) => isIdle(connection, now));
    // Each step ends fewer: the last connections of a pool get all of its requests, and end with their answers. On a
    // busy event loop a step takes longer, and so ends more connections.
    const stepsToGo = Math.max(1, ((TO - part) * delay) / Math.max(step, now - last));
    last = now;
    const few = leastLikely(idle, Math.floor((3 * idle.length) / stepsToGo), { at: now, margin: delay * MARGIN });
    if (few.length === 0) continue;
    await quietTurn();
    signal.throwIfAborted();
    for (const connection of few) if (isIdle(connection, now)) connection.close();
  }
}

/** True also for a connection that a pool opened and never used, unless it is young: a first request may be coming. */
export function isIdle({ state, since }: Pick<Connection, 'state' | 'since'>, now: number): boolean {
  return state === 'idle' || (state === 'silent' && now - since > SILENT_MS);
}

/**
 * Resolves when the event loop has just read all that the kernel has, or after MAX_TURNS. Otherwise a process that is
 * busy, or throttled at its CPU limit, would close connections whose requests wait in the kernel.
 */
export async function quietTurn(): Promise<void> {
  await nextTurn();
  for (let turn = 0, now = performance.now(); turn < MAX_TURNS; turn++) {
    const before = now;
    await nextTurn();
    now = performance.now();
    if (now - before < QUIET_MS) return;
  }
}

/**
 * At most `count` idle connections on which a request is least likely now: neither the newest nor the oldest, since
 * most pools use the one that was used last, and some the one used longest ago. A connection whose requests, if they
 * keep the interval of the last two, are due now (within `margin`) is chosen only if the others are too few.
 */
export function leastLikely<T extends Pick<Connection, 'since' | 'requestedAt' | 'interval'>>(
  idle: readonly T[],
  count: number,
  { at, margin }: { readonly at: number; readonly margin: number },
): readonly T[] {
  const isDue = ({ requestedAt, interval }: T) => Math.abs(requestedAt + interval - at) < margin;
  const { due = [], others = [] } = Object.groupBy(idle, (connection) => (isDue(connection) ? 'due' : 'others'));
  return [...older(others, count), ...older(due, Math.max(0, count - others.length))];
}

function older<T extends Pick<Connection, 'since'>>(list: readonly T[], count: number): readonly T[] {
  const from = Math.max(0, Math.floor((list.length - count) / 4));
  return list.toSorted((a, b) => a.since - b.since).slice(from, from + count);
}
