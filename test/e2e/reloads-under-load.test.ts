// Forty reloads under load, every fourth of them broken, lose nothing.
// The config keeps changing under load, as a new file or in place. Every fourth change is broken.
import { readFile, writeFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { parse, stringify } from 'yaml';
import { startPacedLoad, tally } from '../support/load/paced-load.ts';
import { delivery, lineAfter, pause, RATE, startUnderLoad } from '../support/load/under-load.ts';
import { replaceFile } from '../support/machine/files.ts';

const RELOADS = 40;
const STEP_MS = 1500;
const SECRET = 'value-of-current-0123456789-0123456789';

/** Broken edits in turn: each breaks the config in another way, with the position that must be reported. */
const BROKEN: readonly (readonly [edit: (good: string) => string, report: RegExp])[] = [
  [(good) => `${good}nonsense: 1\n`, /config\.yaml:\d+:1: .*nonsense/],
  [(good) => good.slice(0, good.indexOf('url:') + 8), /config\.yaml:\d+:\d+/],
  [() => '', /it is empty or missing/],
  [(good) => good.replace('maxBody: ', 'maxBody: minus '), /config\.yaml:\d+:\d+: limits\.maxBody/],
];

test('each delivery is answered, good edits take effect, broken ones are reported with their position', async () => {
  const { proxy, upstream } = await startUnderLoad(
    () => ({ limits: { maxBody: 4096 }, log: { requests: 'none' }, routes: [{ path: '/notify' }] }),
    { current: SECRET },
  );
  let good = await readFile(proxy.configFile, 'utf8');
  const load = startPacedLoad({ url: proxy.url, rate: RATE, connections: 100, next: (nth) => delivery(nth, SECRET) });
  const settled = ({ msg }: Readonly<Record<string, unknown>>) =>
    msg === 'reloaded' || String(msg).startsWith('reload failed');
  const begun = performance.now();
  const isReported: boolean[] = [];
  for (let nth = 1; nth <= RELOADS; nth++) {
    const until = performance.now() + STEP_MS;
    const broken = nth % 4 === 0 ? BROKEN[(nth / 4) % BROKEN.length] : undefined;
    if (broken === undefined) good = edited(good, nth);
    const text = broken === undefined ? good : broken[0](good);
    const write = nth % 3 === 0 ? writeFile : replaceFile;
    const line = await lineAfter(proxy, settled, () => write(proxy.configFile, text));
    if (broken === undefined) expect(line.msg).toBe('reloaded');
    else isReported.push(broken[1].test(String(line.problems)));
    await pause(Math.max(0, until - performance.now()));
  }
  const seconds = (performance.now() - begun) / 1000;
  const results = await load.stop();

  console.log(`${results.length} requests in ${seconds.toFixed(1)} s`, tally(results));
  expect(tally(results)).toEqual({ 200: results.length });
  expect(upstream.deliveries().size).toBe(results.length);
  expect([...upstream.deliveries().values()].every((times) => times === 1)).toBe(true);
  expect(isReported).toEqual(Array(RELOADS / 4).fill(true));
  const metrics = await proxy.metrics();
  expect(metrics.get('entrupy_proxy_reloads_total{result="success"}')).toBe((RELOADS * 3) / 4);
  expect(metrics.get('entrupy_proxy_reloads_total{result="failure"}')).toBe(RELOADS / 4);
  expect(metrics.get('entrupy_proxy_last_reload_successful')).toBe(0); // the last one is broken
  // Removed routes left no series; the one that stayed counted everything.
  expect(
    [...metrics.keys()].filter((name) => /route="\/extra-/.test(name) && !name.includes(`/extra-${RELOADS - 1}"`)),
  ).toEqual([]);
  const accepted = 'entrupy_proxy_requests_total{route="/notify",decision="accepted",reason="none"}';
  expect(metrics.get(accepted)).toBe(results.length);
});

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
