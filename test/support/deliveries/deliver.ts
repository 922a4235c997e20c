// One signed delivery, and a stream of them across a moment in time.
import { setTimeout as sleep } from 'node:timers/promises';
import { post } from '../load/load.ts';
import { value } from '../proxy/proxied.ts';
import { sign } from './signer.ts';

export const BODY = '{"event":1}';
/** Between two deliveries, so that a test that waits for a moment leaves the machine to others. */
const PACE_MS = 20;

/** The status of a delivery signed with the value of that name. */
export async function deliver({ url }: { readonly url: string }, name: string, path = '/notify'): Promise<number> {
  const headers = { 'Entrupy-Signature': sign(value(name), BODY) };
  return (await post({ url: url + path, body: BODY, headers })).status;
}

/**
 * Delivers repeatedly until 300 ms past the moment (epoch milliseconds), and once after it at least. Returns the distinct responses to deliveries
 * that ended before it, and to those that started after it. A delivery in flight at that moment may be either.
 */
export async function across<T>(
  moment: number,
  ask: () => Promise<T>,
): Promise<{ readonly before: readonly T[]; readonly after: readonly T[] }> {
  const [before, after] = [new Set<T>(), new Set<T>()];
  for (; Date.now() < moment + 300 || after.size === 0; await sleep(PACE_MS)) {
    const begun = Date.now();
    const answer = await ask();
    if (Date.now() < moment) before.add(answer);
    if (begun >= moment) after.add(answer);
  }
  return { before: [...before], after: [...after] };
}
