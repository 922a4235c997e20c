// Advice on deferred deliveries: what is not sent again by itself, what waits for long, and a store that fails.
import type { Advice } from './advice.ts';
import { PAGES } from './advice-pages.ts';
import { count } from './amounts.ts';
import type { DeferredStatus, StatusSnapshot } from './status-snapshot.ts';
import { MINUTE, spanText } from './times.ts';

const ADVICE = { id: 'redelivery', state: 'warning', page: PAGES.redelivery } as const;

/** As the alert. */
const LONG_MS = 15 * MINUTE;

export function redeliveryAdvice({ deferred, now }: StatusSnapshot): readonly Advice[] {
  if (deferred === null) return [];
  const found = [storeFails(deferred), unverified(deferred), stopped(deferred), waiting(deferred, now)];
  return found.filter((advice) => advice !== null);
}

const many = (amount: number) => count(amount, 'deferred delivery', 'deferred deliveries');

function storeFails({ store, problem }: DeferredStatus): Advice | null {
  if (problem === null) return null;
  return {
    ...ADVICE,
    message: `The store of deferred deliveries (${store}) fails: ${problem}. Until it works again, nothing is deferred or sent again.`,
    remedy: 'Check the store: its room, its owner, redelivery.passwordFile.',
    page: PAGES.deferredStore,
  };
}

function unverified({ unverified }: DeferredStatus): Advice | null {
  if (unverified === 0) return null;
  return {
    ...ADVICE,
    message: `${many(unverified)} cannot be verified, so not sent: the secret or the route is gone, or somebody has altered the store.`,
    remedy:
      'Put the secret or the route back; the log says what is wrong. Or drop them: entrupy-signature-proxy deferred.',
    page: PAGES.deferredSecrets,
  };
}

function stopped({ stopped }: DeferredStatus): Advice | null {
  if (stopped === 0) return null;
  const are = stopped === 1 ? 'it is' : 'they are';
  const message = `The app refused ${many(stopped)} (4xx), so ${are} sent again only when you ask.`;
  const remedy = 'Correct the app, then entrupy-signature-proxy deferred deliver; or drop them.';
  return { ...ADVICE, message, remedy };
}

function waiting({ waiting, oldest, sends }: DeferredStatus, now: number): Advice | null {
  if (waiting === 0) return null;
  const wait = `${count(waiting, 'deferred delivery waits', 'deferred deliveries wait')}`;
  if (!sends) {
    const message = `${wait}, and nothing is sent, since no route has redeliver.`;
    return { ...ADVICE, message, remedy: 'Give a route redeliver, or drop them.' };
  }
  const age = now - (oldest ?? now);
  const message = `${wait} to be sent again, the oldest for ${spanText(age)}.`;
  if (age < LONG_MS) return { ...ADVICE, state: 'ok', message, remedy: 'Nothing, if the app is coming back.' };
  return { ...ADVICE, message, remedy: 'Find out why the app does not take them: its log, and the list below.' };
}
