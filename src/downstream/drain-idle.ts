// In a drain idle connections end late in `shutdown.delay`, a few at a time: balancers have noticed by then, and the app
// still serves. A close that crosses the client's next request loses it, so none ends when that request is likely.
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import type { Connection } from './connection.ts';

/** The part of the delay in which they end, and in how many steps. */
const FROM = 0.6;
const TO = 0.9;
const STEPS = 75;
/** The part of the delay by which a request may miss its rhythm. */
const MARGIN = 0.1;
/** Milliseconds after which a connection without a request counts as idle. */
const SILENT_MS = 1000;
/** Milliseconds of a quiet turn of the event loop, and how many turns are given to find one. */
const QUIET_MS = 0.25;
const MAX_TURNS = 50;

/** `delay` in milliseconds. Rejects once aborted: those that have not ended then stay. */
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
    // Fewer and fewer: the last ones of a pool get all of its requests, and end by those.
    // Where the loop is busy, a step lasts longer, and takes more of them.
    const stepsToGo = Math.max(1, ((TO - part) * delay) / Math.max(step, now - last));
    last = now;
    const few = leastLikely(idle, Math.floor((3 * idle.length) / stepsToGo), { at: now, margin: delay * MARGIN });
    if (few.length === 0) continue;
    await quietTurn();
    signal.throwIfAborted();
    for (const connection of few) if (isIdle(connection, now)) connection.close();
  }
}

/** Pools also keep connections that they opened and never used. The first request of a younger one is on its way. */
export function isIdle({ state, since }: Pick<Connection, 'state' | 'since'>, now: number): boolean {
  return state === 'idle' || (state === 'silent' && now - since > SILENT_MS);
}

/**
 * Resolves when the event loop has just read all that the kernel has. A process that is busy, or stands still at its CPU
 * limit, would otherwise close on requests that wait in its kernel.
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
 * At most `count` idle connections on which a request is least likely now: neither the newest nor the oldest, since most
 * pools use the one that was used last, and some the one that was used longest ago. Only after all others one that was
 * as long idle before its last request as it is now, give or take `margin`.
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
