// In a drain, idle connections are closed late in `shutdown.delay`, a few at a time: load balancers know of it by then,
// and the app still serves. A close that crosses a client's next request loses it, so those on which one is likely wait.
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import type { Connection } from './connection.ts';

/** Idle connections are closed between these fractions of the delay, in this number of steps. */
const FROM = 0.6;
const TO = 0.9;
const STEPS = 75;
/** Milliseconds after which a new connection without a request counts as idle. */
const SILENT_MS = 1000;
/** Milliseconds: a turn of the event loop that takes less is quiet. And the maximum number of turns to wait for one. */
const QUIET_MS = 0.25;
const MAX_TURNS = 50;

/** Closes idle connections. `delay`: milliseconds. Rejects once aborted: the connections still open then stay open. */
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
    // Each step closes fewer: the last connections of a pool get all its requests, and are closed with the answers. On
    // a busy event loop a step takes longer, and so closes more connections.
    const stepsToGo = Math.max(1, ((TO - part) * delay) / Math.max(step, now - last));
    last = now;
    const few = leastLikely(idle, Math.floor((3 * idle.length) / stepsToGo));
    if (few.length === 0) continue;
    await quietTurn();
    signal.throwIfAborted();
    for (const connection of few) if (isIdle(connection, now)) connection.close();
  }
}

/** True also for a connection without any request, unless it is young: then its first request may be on its way. */
export function isIdle({ state, since }: Pick<Connection, 'state' | 'since'>, now: number): boolean {
  return state === 'idle' || (state === 'silent' && now - since > SILENT_MS);
}

/**
 * Resolves when the event loop has just read all that the kernel has, or after MAX_TURNS. Without this wait a process
 * that is busy, or throttled at its CPU limit, would close connections whose requests lie in the kernel.
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
 * most pools use the one that was used last, and some the one used longest ago.
 */
export function leastLikely<T extends Pick<Connection, 'since'>>(idle: readonly T[], count: number): readonly T[] {
  const from = Math.max(0, Math.floor((idle.length - count) / 4));
  return idle.toSorted((a, b) => a.since - b.since).slice(from, from + count);
}
