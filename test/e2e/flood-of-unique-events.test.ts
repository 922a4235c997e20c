// A flood of unique events fills the memory of `once` and no more: three times `once.maxEntries`, as fast as possible, at the
// image's heap. If bodies were kept, the remembered events would hold 80 MiB of them, more than that heap.
import { Pool } from 'undici';
import { expect, onTestFinished, test } from 'vitest';
import { sign } from '../support/deliveries/signer.ts';
import { heapOf, IMAGE_ENV, IMAGE_FLAGS } from '../support/proxy/image-env.ts';
import { startProxy } from '../support/proxy/proxy.ts';
import { startStreamingUpstream } from '../support/upstream/streams.ts';

const SECRET = 'value-of-current-0123456789-0123456789';
const MOST = 20_000;
const EVENTS = 3 * MOST;
const CONNECTIONS = 32;
/** Deliveries from one look at the gauge to the next. */
const LOOK_EVERY = 250;
const NOTE = 'x'.repeat(4096);

test('at maxEntries the oldest is evicted, and memory is bounded', async () => {
  const upstream = await startStreamingUpstream();
  onTestFinished(() => upstream.close());
  const proxy = await startProxy({
    config: {
      upstream: { url: upstream.url },
      routes: [{ path: '/notify', once: '24h' }],
      once: { maxEntries: MOST },
      log: { requests: 'none' },
    },
    secrets: { current: SECRET },
    flags: [...IMAGE_FLAGS, heapOf(128)],
    env: IMAGE_ENV,
  });
  onTestFinished(async () => void (await proxy.stop()));
  const pool = new Pool(proxy.url, { connections: CONNECTIONS, keepAliveTimeout: 60_000 });
  onTestFinished(() => pool.destroy());
  /** `taken`: the upstream answers with the number of bytes that it received. */
  const deliver = async (id: number) => {
    const body = JSON.stringify({ id, event: 'item.updated', note: NOTE });
    const headers = { 'entrupy-signature': sign(SECRET, body) };
    const answer = await pool.request({ path: '/notify', method: 'POST', headers, body });
    const text = await answer.body.text();
    return text === String(body.length) ? 'taken' : `${answer.statusCode} ${text}`;
  };
  const entries = async () => (await proxy.metrics()).get('entrupy_proxy_once_entries') ?? 0;
  let [next, most] = [0, 0];
  const sender = async () => {
    while (next < EVENTS) {
      const id = next++;
      expect([id, await deliver(id)]).toEqual([id, 'taken']);
      if (id % LOOK_EVERY === 0) most = Math.max(most, await entries());
    }
  };
  await Promise.all(Array.from({ length: CONNECTIONS }, sender));
  expect([most, await entries()]).toEqual([MOST, MOST]);
  // In order of delivery, which is the order of sending except among concurrent requests.
  for (const young of [EVENTS - MOST + 2 * CONNECTIONS, EVENTS - MOST / 2, EVENTS - 1])
    expect([young, await deliver(young)]).toEqual([young, '200 {"status":"duplicate"}']);
  for (const old of [0, 1, MOST, EVENTS - MOST - 2 * CONNECTIONS])
    expect([old, await deliver(old)]).toEqual([old, 'taken']);
  expect(await entries()).toBe(MOST);
});
