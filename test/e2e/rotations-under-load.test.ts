// Forty rotations a minute under load refuse no valid delivery.
// Secrets keep changing under a load that is signed with old and new ones. Each delivery is judged afterwards by the
// times at which it was sent and answered: a certainly valid one must have been accepted, a certainly retired one
// refused.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { type Delivery, type Result, startPacedLoad, tally } from '../support/load/paced-load.ts';
import { delivery, lineAfter, pause, RATE, startUnderLoad } from '../support/load/under-load.ts';
import { replaceFile } from '../support/machine/files.ts';
import { kubeletWrites } from '../support/machine/kubelet.ts';

const ROTATIONS = 40;
const OVERLAP_MS = 3000;
const STEP_MS = 1100;

/** One value of a secret, with the moments (epoch milliseconds) that are known for certain. */
class Version {
  readonly name: string;
  readonly value: string;
  /** The proxy has reported that it has it. */
  liveFrom = Number.POSITIVE_INFINITY;
  /** Nothing has been done yet to end it. */
  liveUntil = Number.POSITIVE_INFINITY;
  /** The proxy has reported that it is gone, or its time is over. */
  goneFrom = Number.POSITIVE_INFINITY;

  constructor(name: string) {
    this.name = name;
    this.value = `value-of-${name}-0123456789-0123456789`;
  }

  end(until: number, from: number): void {
    this.liveUntil = Math.min(this.liveUntil, until);
    this.goneFrom = Math.min(this.goneFrom, from);
  }

  verdictOn({ sent, done }: Result): 'valid' | 'retired' | 'either' {
    if (sent >= this.liveFrom && done < this.liveUntil) return 'valid';
    return sent >= this.goneFrom ? 'retired' : 'either';
  }
}

/** The rotations that change a file; the others change the directory. */
const FILES = Array.from({ length: ROTATIONS / 2 }, (_, index) => 2 * index + 1);

test('old and new secrets mixed: no valid delivery refused or lost, none accepted after its secret’s end', async () => {
  const firstKey = new Version('key-0');
  // Each file changes once: a value that is replaced within a minute has no overlap, unless it is from the start.
  const first = new Map(FILES.map((nth) => [nth, new Version(`file-${nth}-first`)]));
  const { proxy, upstream, directory } = await startUnderLoad((own) => ({
    secrets: [
      ...[...first].map(([nth, { value }]) => {
        writeFileSync(join(own, `file-${nth}`), value);
        return { id: `file-${nth}`, file: join(own, `file-${nth}`), overlap: `${OVERLAP_MS}ms` };
      }),
      { directory: join(own, 'mounted') },
    ],
    log: { requests: 'none' },
  }));
  /** A reload that an earlier change caused, and that came late, has other secrets. */
  const reloaded = (has: (secrets: readonly string[]) => boolean, change: () => Promise<unknown>) =>
    lineAfter(proxy, ({ msg, secrets }) => msg === 'reloaded' && has(secrets as readonly string[]), change);
  const mounted = (...keys: readonly Version[]) =>
    kubeletWrites(join(directory, 'mounted'), Object.fromEntries(keys.map(({ name, value }) => [name, value])));
  await mounted(firstKey);
  await reloaded(
    (ids) => ids.includes(firstKey.name),
    async () => proxy.signal('SIGHUP'),
  );
  const files: Version[] = [];
  const keys = [firstKey];
  for (const version of [...first.values(), firstKey]) version.liveFrom = Date.now();

  const mix = mixOf(files, keys);
  const signedBy = new Map<string, Version>();
  const load = startPacedLoad({
    url: proxy.url,
    rate: RATE,
    connections: 100,
    next(nth): Delivery {
      const version = mix(nth);
      signedBy.set(String(nth), version);
      return delivery(nth, version.value);
    },
  });
  const begun = performance.now();
  for (let nth = 1; nth <= ROTATIONS; nth++) {
    const until = performance.now() + STEP_MS;
    if (nth % 2 === 0) await rotateDirectory(nth);
    else await rotateFile(nth);
    if (nth % 8 === 7) await pause(OVERLAP_MS); // the overlap ends while its value is among the newest two
    await pause(Math.max(0, until - performance.now()));
  }
  const seconds = (performance.now() - begun) / 1000;
  const results = await load.stop();

  async function rotateFile(nth: number): Promise<void> {
    const next = new Version(`file-${nth}`);
    const old = first.get(nth) ?? next;
    const before = Date.now();
    const hasPrevious = (ids: readonly string[]) => ids.includes(`${next.name}.previous`);
    await reloaded(hasPrevious, () => replaceFile(join(directory, next.name), next.value));
    next.liveFrom = Date.now();
    const metrics = await proxy.metrics();
    const ends = metrics.get(`entrupy_proxy_secret_not_after_timestamp_seconds{secret="${next.name}.previous"}`) ?? 0;
    expect(ends * 1000).toBeGreaterThanOrEqual(before + OVERLAP_MS);
    old.end(Math.floor(ends * 1000), Math.ceil(ends * 1000));
    files.push(old, next);
  }

  /** First adds the new one beside the old one, then removes the old one: two swaps, no overlap needed. */
  async function rotateDirectory(nth: number): Promise<void> {
    const next = new Version(`key-${nth}`);
    const old = keys.at(-1) ?? next;
    await reloaded(
      (ids) => ids.includes(next.name),
      () => mounted(old, next),
    );
    next.liveFrom = Date.now();
    keys.push(next);
    await pause(STEP_MS / 3);
    const before = Date.now();
    await reloaded(
      (ids) => !ids.includes(old.name),
      () => mounted(next),
    );
    old.end(before, Date.now());
  }

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

/** Half signed with the newest values, most others with the ones before, one in ten with older ones. */
function mixOf(files: readonly Version[], keys: readonly Version[]): (nth: number) => Version {
  return (nth) => {
    const versions = nth % 2 === 0 && files.length > 0 ? files : keys;
    const back = nth % 20 < 10 ? 1 : nth % 20 < 18 ? 2 : 4;
    const version = versions.at(-Math.min(back, versions.length));
    if (version === undefined) throw new Error('no version');
    return version;
  };
}
