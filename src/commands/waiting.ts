// Options that are a duration, and trying again until one is over.
import { setTimeout as sleep } from 'node:timers/promises';
import { DURATION } from '../config/units.ts';
import { usageError } from './options.ts';

/** The milliseconds of an option such as `--wait`. Throws UsageError. */
export function milliseconds(option: string, text: string): number {
  const wait = DURATION.parse(text);
  if (wait === null) throw usageError(`${option} takes ${DURATION.name} such as ${DURATION.examples}`);
  return wait;
}

/** The end of `--wait`, on the monotonic clock: now, if it is not given. */
export const endOf = (wait = '0'): number => performance.now() + milliseconds('--wait', wait);

const AGAIN_AFTER_MS = 1000;

/** Tries each second, the last time at `end`, until a result is good enough. Returns the last one. */
export async function tried<T>(end: number, attempt: () => Promise<T>, isEnough: (result: T) => boolean): Promise<T> {
  for (;;) {
    const result = await attempt();
    const rest = end - performance.now();
    if (rest <= 0 || isEnough(result)) return result;
    await sleep(Math.min(AGAIN_AFTER_MS, rest));
  }
}
