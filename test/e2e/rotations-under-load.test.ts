// Twenty rotations under load refuse no valid delivery.
// Secrets keep changing under a load that is signed with old and new ones. Each delivery is judged afterwards by the
// times at which it was sent and answered: a certainly valid one must have been accepted, a certainly retired one
// refused.
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { type Result, startPacedLoad, tally } from '../support/load/paced-load.ts';
import { delivery, lineAfter, pause, RATE, startUnderLoad } from '../support/load/under-load.ts';
import { kubeletWrites } from '../support/machine/kubelet.ts';

/** Of two changes each. */
const ROTATIONS = 20;
const STEP_MS = 1100;

/** One value of a secret, with the moments (epoch milliseconds) that are known for certain. */
class Version {
  readonly name: string;
  readonly value: string;
  /** The proxy has reported that it has it. */
  liveFrom = Number.POSITIVE_INFINITY;
  /** Nothing has been done yet to end it. */
  liveUntil = Number.POSITIVE_INFINITY;
  /** The proxy has reported that it is gone. */
  goneFrom = Number.POSITIVE_INFINITY;

  constructor(name: string) {
    this.name = name;
    this.value = `value-of-${name}-0123456789-0123456789`;
  }

  verdictOn({ sent, done }: Result): 'valid' | 'retired' | 'either' {
    if (sent >= this.liveFrom && done < this.liveUntil) return 'valid';
    return sent >= this.goneFrom ? 'retired' : 'either';
  }
}

test('old and new secrets mixed: no valid delivery refused or lost, none accepted after its secret’s end', async () => {
  const { proxy, upstream, directory } = await startUnderLoad((own) => ({
    secrets: [{ directory: join(own, 'mounted') }],
    log: { requests: 'none' },
  }));
  const keys: Version[] = [];
  /** As Kubernetes changes it. A reload that an earlier change caused, and that came late, has other secrets. */
  const mount = (...mounted: readonly Version[]) =>
    lineAfter(
      proxy,
      ({ msg, secrets }) => msg === 'reloaded' && `${secrets}` === mounted.map(({ name }) => name).join(),
      () =>
        kubeletWrites(join(directory, 'mounted'), Object.fromEntries(mounted.map(({ name, value }) => [name, value]))),
    );
  const add = async (...before: readonly Version[]) => {
    const next = new Version(`key-${String(keys.length).padStart(2, '0')}`);
    await mount(...before, next);
    next.liveFrom = Date.now();
    keys.push(next);
    return next;
  };
  let newest = await add();

  /** Half signed with the newest value, most others with the one before, one in ten with an older one. */
  const mixed = (nth: number) => keys.at(-Math.min(nth % 20 < 10 ? 1 : nth % 20 < 18 ? 2 : 4, keys.length)) ?? newest;
  const signedBy = new Map<string, Version>();
  const load = startPacedLoad({
    url: proxy.url,
    rate: RATE,
    connections: 100,
    next(nth) {
      const version = mixed(nth);
      signedBy.set(String(nth), version);
      return delivery(nth, version.value);
    },
  });
  const begun = performance.now();
  for (let nth = 1; nth <= ROTATIONS; nth++) {
    // The new one is added beside the old one, then the old one is removed: two swaps, no overlap needed.
    const old = newest;
    newest = await add(old);
    await pause(STEP_MS / 3);
    old.liveUntil = Date.now();
    await mount(newest);
    old.goneFrom = Date.now();
    await pause(STEP_MS / 3);
  }
  const seconds = (performance.now() - begun) / 1000;
  const results = await load.stop();

  const verdicts = { valid: 0, retired: 0, either: 0 };
  const wrong: string[] = [];
  for (const result of results) {
    const verdict = signedBy.get(result.id)?.verdictOn(result) ?? 'either';
    verdicts[verdict]++;
    const right = { valid: [200], retired: [401], either: [200, 401] }[verdict];
    if (!right.includes(result.status)) wrong.push(`${verdict}: ${result.status} ${result.trouble}`);
  }
  console.log(`${results.length} requests in ${seconds.toFixed(1)} s`, tally(results), verdicts);
  expect(wrong).toEqual([]);
  expect(verdicts.valid).toBeGreaterThan(results.length / 2);
  expect(verdicts.retired).toBeGreaterThan(ROTATIONS);
  // Every accepted delivery arrived exactly once, and nothing else did.
  const accepted = results.filter(({ status }) => status === 200).map(({ id }) => id);
  expect([...upstream.deliveries()].filter(([, times]) => times !== 1)).toEqual([]);
  expect(new Set(upstream.deliveries().keys())).toEqual(new Set(accepted));
  const metrics = await proxy.metrics();
  expect(metrics.get('entrupy_proxy_reloads_total{result="failure"}')).toBe(0);
  const sum = (names: RegExp) => [...metrics].reduce((total, [name, n]) => total + (names.test(name) ? n : 0), 0);
  expect(sum(/^entrupy_proxy_requests_total\{.*decision="accepted"/)).toBe(accepted.length);
  expect(sum(/^entrupy_proxy_requests_total/)).toBe(results.length);
});
