// Ten thousand deferred deliveries, and an app that comes back at a tenth of its speed: all arrive, fresh ones beside them at
// their usual latency, and memory stays flat. With the machine's heap V8 collects late and it would grow by any amount, so
// the heap is what the chart's 128Mi leave it: less than all bodies together.
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'vitest';
import { sign } from '../support/deliveries/signer.ts';
import { startPacedLoad } from '../support/load/paced-load.ts';
import { heapOf, IMAGE_ENV, IMAGE_FLAGS } from '../support/proxy/image-env.ts';
import { value } from '../support/proxy/proxied.ts';
import { DEFERRED, deferred, deliver, redeliver, results, test } from '../support/redelivery/redelivery.ts';

const MANY = 10_000;
const FEW = 1000;
const SLOW_MS = 20;
const FILLING = 'x'.repeat(8_000);
/** Bytes: memory that grew by it would hold bodies. */
const HALF_OF_ALL = (MANY * FILLING.length) / 2;

test('ten thousand deferred, and a slow app', async ({ app, redeliverer, directory }) => {
  const proxy = await redeliverer({
    redelivery: { store: join(directory, 'store') },
    config: { log: { requests: 'none' } },
    flags: [...IMAGE_FLAGS, heapOf(128)],
    env: IMAGE_ENV,
  });
  app.answer = () => 503;
  const body = (at: number) => `{"id":${at},"filling":"${FILLING}"}`;
  // What the thread of the store and its code take is there from the first ones on.
  const answers = await inParallel(FEW, 50, (at) => deliver(proxy, body(at)));
  const few = await proxy.memory();
  answers.push(...(await inParallel(MANY - FEW, 50, (at) => deliver(proxy, body(FEW + at)))));
  expect(answers.filter(({ status }) => status !== DEFERRED.status)).toEqual([]);
  expect((await deferred(proxy)).waiting).toBe(MANY);
  const before = await proxy.memory();

  const seen = new Set<string>();
  app.answer = (text) => (_request, response) => {
    seen.add(text);
    setTimeout(() => response.end('ok'), SLOW_MS);
  };
  await redeliver(proxy);
  await sleep(1000);
  const fresh = startPacedLoad({
    url: proxy.url,
    rate: 50,
    connections: 20,
    next: (nth) => {
      const text = `{"fresh":${nth}}`;
      return { id: `${nth}`, path: '/notify', body: text, headers: { 'Entrupy-Signature': sign(value('a'), text) } };
    },
  });
  let peak = 0;
  for (let left = MANY; left > 0; left = (await deferred(proxy)).waiting ?? 0) {
    peak = Math.max(peak, (await proxy.memory()).rss);
    await sleep(250);
  }
  const sent = await fresh.stop();
  expect(await results(proxy, 'delivered')).toBe(MANY);
  for (let at = 0; at < MANY; at++) expect(seen.has(body(at)), `${at}`).toBe(true);
  const times = sent.map(({ sent: from, done }) => done - from).sort((a, b) => a - b);
  const of = (part: number) => times[Math.floor(times.length * part)];
  console.log(`fresh: ${sent.length}, ms p50 ${of(0.5)}, p99 ${of(0.99)}; app ${SLOW_MS} ms`);
  console.log(
    `rss MiB: ${few.rss >> 20} with a tenth deferred, ${before.rss >> 20} with all, then at most ${peak >> 20}`,
  );
  expect(sent.filter(({ status }) => status !== 200)).toEqual([]);
  expect(before.rss).toBeLessThan(few.rss + HALF_OF_ALL);
  expect(peak).toBeLessThan(before.rss + HALF_OF_ALL);
});

async function inParallel<T>(count: number, at: number, ask: (nth: number) => Promise<T>): Promise<T[]> {
  const all: T[] = [];
  let next = 0;
  await Promise.all(
    Array.from({ length: at }, async () => {
      while (next < count) all.push(await ask(next++));
    }),
  );
  return all;
}
