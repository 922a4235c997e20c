// Ten thousand deferred deliveries, and an app that comes back at a tenth of its speed: all arrive, fresh ones beside them at
// their usual latency, and memory stays flat. A hundred thousand: a person's commands fit beside the proxy. With the machine's heap V8 collects late and it would grow by any amount, so
// the heap is what the chart's 128Mi leave it: less than all bodies together.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'vitest';
import { eventToStore } from '../../src/redelivery/record.ts';
import { fileIn } from '../../src/redelivery/stores/store.ts';
import { sign } from '../support/deliveries/signer.ts';
import { startPacedLoad } from '../support/load/paced-load.ts';
import { NOBODY } from '../support/machine/free-port.ts';
import { runCommand } from '../support/proxy/command.ts';
import { heapOf, IMAGE_ENV, IMAGE_FLAGS } from '../support/proxy/image-env.ts';
import { value } from '../support/proxy/proxied.ts';
import { startProxy } from '../support/proxy/proxy.ts';
import { DEFERRED, deferred, deliver, nothingDeferred, redeliver, results, test } from '../support/redelivery/proxy.ts';
import { test as queued, VALUE } from '../support/redelivery/queue.ts';
import { LONGEST_MS } from '../support/runner/patience.ts';

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
  console.log(`rss MiB: ${few.rss >> 20} with a tenth deferred, ${before.rss >> 20} with all, then ${peak >> 20}`);
  expect(sent.filter(({ status }) => status !== 200)).toEqual([]);
  expect(before.rss).toBeLessThan(few.rss + HALF_OF_ALL);
  expect(peak).toBeLessThan(before.rss + HALF_OF_ALL);
});

const HUNDRED_THOUSAND = 100_000;
/** Runs before a command: as it ends it writes what the kernel says of it, with its peak of memory, to the file $PEAK. */
const TELLS_PEAK = `data:text/javascript,import fs from 'node:fs';
  process.on('exit', () => fs.writeFileSync(process.env.PEAK, fs.readFileSync('/proc/self/status')))`;

queued('a hundred thousand wait: list and deliver take 150 MiB at most', async ({ directory, delivery }) => {
  const options = {
    config: {
      upstream: { url: NOBODY },
      routes: [{ path: '/notify', redeliver: '1h' }],
      redelivery: { store: directory, maxBytes: '1GiB' },
    },
    secrets: { current: VALUE },
  };
  const first = await startProxy(options);
  await nothingDeferred(first);
  await first.stop();
  const database = new DatabaseSync(fileIn(directory));
  const event = database.prepare(`INSERT INTO event(id, due, stored, state, bytes, note) VALUES (?,?,0,'waiting',?,?)`);
  const record = database.prepare('INSERT INTO record(place, content) VALUES (last_insert_rowid(), ?)');
  database.exec('BEGIN');
  for (let at = 0; at < HUNDRED_THOUSAND; at++) {
    const {
      id,
      record: parts,
      note,
    } = eventToStore(delivery(`{"id":${at},"filling":"${'x'.repeat(600)}"}`), 'connect', '');
    const bytes = Buffer.concat(parts);
    event.run(id, Date.now(), bytes.length, JSON.stringify(note));
    record.run(bytes);
  }
  database.exec('COMMIT');
  database.close();

  const proxy = await startProxy(options);
  try {
    const command = async (...words: readonly string[]) => {
      const env = { ...IMAGE_ENV, ADMIN_PORT: `${proxy.adminPort}`, PEAK: join(directory, 'peak') };
      const flags = [...IMAGE_FLAGS, heapOf(128), '--import', TELLS_PEAK];
      // It reads all twice, and pauses ten times as long between: 21 s on a quiet machine.
      const args = ['deferred', ...words, '--json', '--config', proxy.configFile];
      const ended = await runCommand(args, { env, flags, timeout: LONGEST_MS });
      const status = await readFile(env.PEAK, 'utf8');
      return { ...ended, mib: Number(/^VmHWM:\s*(\d+) kB/m.exec(status)?.[1]) / 1024 };
    };
    const listed = await command('list');
    const { deliveries } = JSON.parse(listed.stdout) as { deliveries: readonly { id: string }[] };
    expect(new Set(deliveries.map(({ id }) => id)).size).toBe(HUNDRED_THOUSAND);
    const asked = await command('deliver');
    expect(asked.stderr).toMatch(/^0 of 100000 gone, 0 not taken\n$/);
    expect(JSON.parse(asked.stdout)).toMatchObject({ asked: HUNDRED_THOUSAND, gone: 0 });
    console.log(`peak MiB: list ${listed.mib}, deliver ${asked.mib}`);
    for (const { mib } of [listed, asked]) expect(mib).toBeLessThan(150);
  } finally {
    await proxy.stop();
  }
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
