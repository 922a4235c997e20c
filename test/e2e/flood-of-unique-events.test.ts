// A flood of unique events fills the memory of `once` and no more.
// Sends three times as many unique signed events as `once.maxEntries`, as fast as possible. The store stays at its limit,
// the oldest entry is evicted first, and the process needs little more memory than in the same flood without `once`.
import { Pool } from 'undici';
import { expect, onTestFinished, test } from 'vitest';
import { sign } from '../support/deliveries/signer.ts';
import { type RunningProxy, startProxy } from '../support/proxy/proxy.ts';
import { startStreamingUpstream } from '../support/upstream/streams.ts';

const SECRET = 'value-of-current-0123456789-0123456789';
const MOST = 20_000;
const EVENTS = 3 * MOST;
const CONNECTIONS = 32;
/** Deliveries from one look at the gauge to the next. */
const LOOK_EVERY = 250;
const MIB = 2 ** 20;
/** Bytes of a body: if bodies were kept, the remembered events would hold 80 MiB. */
const BODY = 4096;
/** The keys take 3 MiB; the rest is how much V8's heap varies between two runs. */
const ALLOWANCE = 40 * MIB;

test('at maxEntries the oldest is evicted, and memory is bounded', async () => {
  const without = await flood({});
  const remembering = await flood({ once: '24h' });
  const { proxy, entries, deliver } = remembering;
  for (const [what, { rss, peak }] of Object.entries({ without, remembering })) {
    console.log(
      `${what}: ${rss.map((bytes) => Math.round(bytes / MIB)).join(' ')} MiB, peak ${Math.round(peak / MIB)}`,
    );
  }

  expect(Math.max(...entries)).toBe(MOST);
  expect(entries.at(-1)).toBe(MOST);
  expect(without.entries).toEqual([]);
  // In order of delivery, which is the order of sending except among concurrent requests.
  for (const old of [0, 1, MOST, EVENTS - MOST - 2 * CONNECTIONS])
    expect([old, await deliver(old)]).toEqual([old, 'ok']);
  for (const young of [EVENTS - MOST + 2 * CONNECTIONS, EVENTS - MOST / 2, EVENTS - 1, 0]) {
    expect([young, await deliver(young)]).toEqual([young, '{"status":"duplicate"}']);
  }
  expect((await proxy.metrics()).get('entrupy_proxy_once_entries')).toBe(MOST);
  expect((remembering.rss.at(-1) ?? 0) - (without.rss.at(-1) ?? 0)).toBeLessThan(ALLOWANCE);
  expect(remembering.peak - without.peak).toBeLessThan(ALLOWANCE);
});

interface Flooded {
  readonly proxy: RunningProxy;
  /** Returns the response's body. */
  deliver(nth: number): Promise<string>;
  /** The values of the gauge, one for each sample; empty if there is no such gauge. */
  readonly entries: readonly number[];
  /** Bytes that the process held after each third of the flood, and the peak. */
  readonly rss: readonly number[];
  readonly peak: number;
}

async function flood(route: { readonly once?: string }): Promise<Flooded> {
  const upstream = await startStreamingUpstream();
  onTestFinished(() => upstream.close());
  const proxy = await startProxy({
    config: {
      upstream: { url: upstream.url },
      routes: [{ path: '/notify', ...route }],
      once: { maxEntries: MOST },
      log: { requests: 'none' },
    },
    secrets: { current: SECRET },
  });
  onTestFinished(async () => void (await proxy.stop()));
  const pool = new Pool(proxy.url, { connections: CONNECTIONS, keepAliveTimeout: 60_000 });
  onTestFinished(() => pool.destroy());
  const deliver = async (nth: number) => {
    const body = JSON.stringify({ id: nth, event: 'item.updated', note: 'x'.repeat(BODY) });
    const headers = { 'entrupy-signature': sign(SECRET, body) };
    const answer = await pool.request({ path: '/notify', method: 'POST', headers, body });
    const text = await answer.body.text();
    if (answer.statusCode !== 200) return `${answer.statusCode}: ${text}`;
    // The upstream responds with the number of bytes that it received.
    return text === String(body.length) ? 'ok' : text;
  };
  const entries: number[] = [];
  const look = async () => {
    const value = (await proxy.metrics()).get('entrupy_proxy_once_entries');
    if (value !== undefined) entries.push(value);
  };

  let next = 0;
  const wrong: string[] = [];
  const sender = async (until: number) => {
    while (next < until) {
      const nth = next++;
      const answer = await deliver(nth);
      if (answer !== 'ok') wrong.push(answer);
      if (nth % LOOK_EVERY === 0) await look();
    }
  };
  const rss: number[] = [];
  for (let third = 1; third <= 3; third++) {
    await Promise.all(Array.from({ length: CONNECTIONS }, () => sender((third * EVENTS) / 3)));
    rss.push((await proxy.memory()).rss);
  }
  await look();
  expect(wrong).toEqual([]);
  return { proxy, deliver, entries, rss, peak: (await proxy.memory()).peak };
}
