// Secrets change as Kubernetes changes them, the configuration as a new file or in place, and every fourth edit is broken
// first. Each delivery is judged afterwards by the times at which it was sent and answered: a certainly valid one must have been
// accepted, a certainly retired one refused.
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { expect } from 'vitest';
import { parse, stringify } from 'yaml';
import { sign } from '../support/deliveries/signer.ts';
import { type Result, startPacedLoad } from '../support/load/paced-load.ts';
import type { LogLine } from '../support/machine/child-output.ts';
import { replaceFile } from '../support/machine/files.ts';
import { freePort } from '../support/machine/free-port.ts';
import { kubeletWrites } from '../support/machine/kubelet.ts';
import { starting, test, value } from '../support/proxy/proxied.ts';
import { waitFor } from '../support/runner/wait-for.ts';
import { recordingApp } from '../support/upstream/recording-app.ts';

/** Of two changes each. */
const ROTATIONS = 20;
const STEP_MS = 1100;
/** The requested rate a second. A slow machine may not reach it: the test looks at the counts. */
const RATE = 2000;

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
    this.value = value(name);
  }

  verdictOn({ sent, done }: Result): 'valid' | 'retired' | 'either' {
    if (sent >= this.liveFrom && done < this.liveUntil) return 'valid';
    return sent >= this.goneFrom ? 'retired' : 'either';
  }
}

/** A delivery of about 300 bytes, with its own number in its body. */
function delivery(nth: number, secret: string) {
  const body = JSON.stringify({ id: String(nth), event: 'item.updated', note: 'x'.repeat(250) });
  const headers = { 'content-type': 'application/json', 'entrupy-signature': sign(secret, body) };
  return { id: String(nth), path: '/notify', body, headers };
}

/** Another route beside the one under load, other limits, another `unmatched`. */
function edited(text: string, nth: number): string {
  const config = parse(text) as Record<string, object>;
  return stringify({
    ...config,
    limits: { ...config.limits, maxBody: 4096 + nth, connections: 1024 + nth, bufferedBytes: (8 + nth) * 1_048_576 },
    routes: [{ path: '/notify' }, { path: `/extra-${nth}`, action: nth % 2 === 0 ? 'forward' : 'verify' }],
    unmatched: nth % 2 === 0 ? 'reject' : 'verify',
  });
}

const startApp = async (recordFile: string) => {
  const app = recordingApp({ port: await freePort(), recordFile });
  await app.start();
  return { ...app, close: app.stop };
};

test.extend('app', ({ directory, onTestFinished }) =>
  starting(startApp)({ onTestFinished })(join(directory, 'record')),
)(
  'no valid delivery refused or lost, none accepted after its secret’s end, and broken edits change nothing',
  async ({ app, directory, start }) => {
    // No concurrent test answers there once the proxy has stopped.
    const listen = { port: await freePort() };
    const secrets = [{ directory: join(directory, 'mounted') }];
    const log = { requests: 'none' };
    const proxy = await start({ listen, upstream: { url: app.url }, secrets, log, limits: { maxBody: 4096 } });
    /** Makes the change; returns the first matching log line that was not there before. */
    const lineAfter = async (satisfies: (line: LogLine) => boolean, change: () => Promise<unknown>) => {
      const lines = () => proxy.logs().filter(satisfies);
      const before = lines().length;
      await change();
      return waitFor(() => lines()[before] ?? Promise.reject(new Error('no such line')));
    };
    const keys: Version[] = [];
    /** A reload that an earlier change caused, and that came late, has other secrets. */
    const mount = (...mounted: readonly Version[]) =>
      lineAfter(
        ({ msg, secrets: ids }) => msg === 'reloaded' && `${ids}` === mounted.map(({ name }) => name).join(),
        () =>
          kubeletWrites(join(directory, 'mounted'), Object.fromEntries(mounted.map((key) => [key.name, key.value]))),
      );
    const add = async (...before: readonly Version[]) => {
      const next = new Version(`key-${String(keys.length).padStart(2, '0')}`);
      await mount(...before, next);
      next.liveFrom = Date.now();
      keys.push(next);
      return next;
    };
    let newest = await add();
    const edit = async (nth: number) => {
      const good = edited(await readFile(proxy.configFile, 'utf8'), nth);
      const put = (text: string) => (nth % 3 === 0 ? writeFile : replaceFile)(proxy.configFile, text);
      if (nth % 4 === 0)
        await lineAfter(
          ({ msg }) => String(msg).startsWith('reload failed'),
          () => put(`${good}nonsense: 1\n`),
        );
      await lineAfter(
        ({ msg }) => msg === 'reloaded',
        () => put(good),
      );
    };

    /** Half signed with the newest value, most others with the one before, one in ten with an older one. */
    const mixed = (nth: number) => keys.at(-Math.min(nth % 20 < 10 ? 1 : nth % 20 < 18 ? 2 : 4, keys.length)) ?? newest;
    const signedBy = new Map<string, Version>();
    const next = (nth: number) => {
      const version = mixed(nth);
      signedBy.set(String(nth), version);
      return delivery(nth, version.value);
    };
    const load = startPacedLoad({ url: proxy.url, rate: RATE, connections: 100, next });
    const begun = performance.now();
    for (let nth = 1; nth <= ROTATIONS; nth++) {
      await edit(nth);
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
    console.log(`${results.length} requests in ${seconds.toFixed(1)} s`, verdicts);
    expect(wrong).toEqual([]);
    expect(verdicts.valid).toBeGreaterThan(results.length / 2);
    expect(verdicts.retired).toBeGreaterThan(ROTATIONS);
    // Every accepted delivery arrived exactly once, and nothing else did.
    const accepted = results.filter(({ status }) => status === 200).map(({ id }) => id);
    expect([...app.deliveries()].filter(([, times]) => times !== 1)).toEqual([]);
    expect(new Set(app.deliveries().keys())).toEqual(new Set(accepted));
    const metrics = await proxy.metrics();
    expect(metrics.get('entrupy_proxy_reloads_total{result="failure"}')).toBe(ROTATIONS / 4);
    const sum = (names: RegExp) => [...metrics].reduce((total, [name, n]) => total + (names.test(name) ? n : 0), 0);
    expect(sum(/^entrupy_proxy_requests_total\{.*decision="accepted"/)).toBe(accepted.length);
    expect(sum(/^entrupy_proxy_requests_total/)).toBe(results.length);
    // Removed routes left no series.
    const extra = [...metrics.keys()].filter((name) => name.includes('route="/extra-'));
    expect(extra.filter((name) => !name.includes(`/extra-${ROTATIONS}"`))).toEqual([]);
  },
);
