// The log of the problems that the status page shows, even of those that show in no request's line, such as a certificate
// that expires or a store that fails: nobody should have to look at a page to learn of it.
import type { Log } from '../log/log.ts';
import type { Advice } from './judge.ts';

/** Milliseconds. A problem that lasts is logged once an hour, and anew if it comes after so long without it. */
const AGAIN_AFTER = 3_600_000;
const NEW_AFTER = 60_000;

/** Of the notes only `signed-unverified` is logged, since such requests may be deliveries that nobody verifies. */
const LEVELS = { failed: 'error', warning: 'warn', note: 'info' } as const;

/** Returns a function that logs each problem; `now` in milliseconds. */
export function createDiagnosisLog(log: Log): (advice: readonly Advice[], now: number) => void {
  const logged = new Map<string, { logged: number; seen: number }>();
  return (advice, now) => {
    for (const { id, state, message, remedy, page, follows, route } of advice) {
      if (state === 'ok' || (state === 'note' && id !== 'signed-unverified')) continue;
      const kind = `${state} ${id} ${route}`;
      const last = logged.get(kind);
      const isKnown = last !== undefined && now - last.logged < AGAIN_AFTER && now - last.seen < NEW_AFTER;
      logged.set(kind, { logged: isKnown ? last.logged : now, seen: now });
      if (isKnown) continue;
      const where = route === null ? {} : { route };
      const also = follows.length === 0 ? {} : { follows: follows.map((consequence) => consequence.id) };
      log[LEVELS[state]]('diagnosis', { diagnosis: id, problem: message, remedy, page, ...where, ...also });
    }
  };
}
