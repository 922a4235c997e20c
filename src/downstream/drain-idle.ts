// In a drain idle connections end late in `shutdown.delay`, one after the other: balancers have noticed by then, and the
// app still serves.
import type { Connection } from './connection.ts';

/** The part of the delay in which they end. */
const FROM = 0.6;
const TO = 0.9;

/** `delay` in milliseconds. Clearing the timer keeps those that do not end yet. */
export function endIdleLate(all: () => readonly Connection[], delay: number): NodeJS.Timeout {
  return setTimeout(() => {
    // Silent connections stay: their first request is on its way.
    const idle = all().filter(({ state }) => state === 'idle');
    const each = (delay * (TO - FROM)) / idle.length;
    idle.sort((a, b) => a.since - b.since);
    for (const [index, connection] of idle.entries()) {
      setTimeout(
        () => {
          if (connection.state === 'idle') connection.close();
        },
        each * (index + 1),
      ).unref();
    }
  }, delay * FROM).unref();
}
