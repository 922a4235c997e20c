// Two proxies under traffic, scraped by a real Prometheus. It evaluates each query of the dashboard and each rule. Which
// alerts fire when is tested over weeks in test/rules.
import { readFileSync } from 'node:fs';
import { appendFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { DIFFERING } from '../../dashboard/queries.ts';
import { sign } from '../support/deliveries/signer.ts';
import { ownDirectory } from '../support/machine/files.ts';
import { NOBODY } from '../support/machine/free-port.ts';
import { read } from '../support/machine/tools.ts';
import { HAS_PROMETHEUS, type Prometheus, startPrometheus } from '../support/metrics/prometheus.ts';
import { dashboardQueries } from '../support/metrics/seen.ts';
import { type RunningProxy, startProxy } from '../support/proxy/proxy.ts';
import { createAuthority } from '../support/tls/certificates.ts';
import { startUpstream, type Upstream } from '../support/upstream/upstream.ts';

const RULES = read('helm/files/rules.yaml');
const MINUTE_MS = 60_000;
const FIRST = 'the first secret, 32 bytes or more';
const SECOND = 'the second secret, 32 bytes or more';
const OWN = 'a secret of their own, 32 bytes or more';

function config(upstreamUrl: string, directory: string): Record<string, unknown> {
  return {
    upstream: { url: upstreamUrl, retryConnectFor: '200ms', checkExposure: true },
    secrets: [
      { directory, overlap: '1h' },
      // The same config with a separate file for each proxy, so a change can reach one pod only.
      { id: 'own', file: 'secrets/own' },
      // It ends soon, which is a warning.
      { id: 'spare', env: 'SPARE', notAfter: new Date(Date.now() + 3 * 86_400_000).toISOString() },
    ],
    // No delivery comes to the last one: its series are there, and no outage of this test is deferred.
    routes: [
      { path: '/notify' },
      { path: '/events', once: '1h' },
      { path: '/webhooks/*', mode: 'report' },
      { path: '/healthz', action: 'forward' },
      { path: '/closed', action: 'reject' },
      { path: '/kept', redeliver: '1h' },
    ],
    // One text of the configuration, and a directory of its own for each proxy.
    redelivery: { store: '/proc/self/cwd/secrets' },
  };
}

describe.skipIf(!HAS_PROMETHEUS)('a real Prometheus (needs Debian’s prometheus)', () => {
  let upstream: Upstream;
  let proxies: readonly RunningProxy[] = [];
  let tlsProxy: RunningProxy | undefined;
  let prometheus: Prometheus;
  let traffic: ReturnType<typeof startTraffic>;
  /** The shared config of both proxies. */
  const secrets = ownDirectory();
  let startedAt = 0;

  beforeAll(async () => {
    upstream = await startUpstream();
    await writeSecret('current', FIRST);
    const options = {
      config: config(upstream.url, secrets),
      env: { POD_IP: '127.0.0.2', SPARE: 'a spare secret, 32 bytes or more!' },
      secrets: { own: OWN },
      cwd: 'own',
    } as const;
    const tls = createAuthority(secrets, '.authority').issue('month', { names: ['IP:127.0.0.1'] });
    // It forwards unmatched requests, and has no app, so that each series of the dashboard and the rules is there.
    const appless = {
      upstream: { url: NOBODY },
      listen: { tls },
      unmatched: 'forward',
    };
    const withTls = startProxy({ config: appless, secrets: { own: OWN } });
    const both = Promise.all([startProxy(options), startProxy(options)]);
    [proxies, tlsProxy] = await Promise.all([both, withTls]);
    const targets = proxies.map(({ adminPort }, index) => ({
      port: adminPort,
      labels: { namespace: 'shop', pod: `pod-${index}` },
    }));
    targets.push({ port: tlsProxy.adminPort, labels: { namespace: 'tls', pod: 'pod-0' } });
    prometheus = await startPrometheus({
      job: 'hooks',
      targets,
      rules: RULES.replaceAll(/interval: \w+/g, 'interval: 1s'),
    });
    startedAt = Date.now();
    traffic = startTraffic(proxies.map(({ url }) => url));
  });

  afterAll(async () => {
    await traffic?.stop();
    await prometheus?.stop();
    await Promise.all([...proxies, tlsProxy].map((proxy) => proxy?.stop()));
    await upstream?.close();
  });

  async function differing(): Promise<number> {
    const [sum] = await prometheus.query(filledIn(DIFFERING));
    return Number(sum?.value?.[1]);
  }

  const upFor = async (least: number) => await sleep(startedAt + least - Date.now());
  const writeSecret = (id: string, value: string) => writeFile(join(secrets, id), value);

  test('after a minute of mixed traffic each dashboard query returns data', async () => {
    await upFor(MINUTE_MS);
    // A rotation, and a reload that fails: the dashboard shows both.
    await writeSecret('current', SECOND);
    const [{ configFile, waitForLog }] = proxies as [RunningProxy];
    const good = readFileSync(configFile, 'utf8');
    await writeFile(configFile, `${good}\nnonsense: true\n`);
    await waitForLog(({ msg }) => String(msg).startsWith('reload failed'), 'the failed reload');
    await writeFile(configFile, good);
    await sleep(5000);
    for (const query of dashboardQueries(JSON.parse(read('helm/files/dashboard.json')))) {
      if (query.includes('deferred_oldest')) continue; // nothing is deferred
      expect(await prometheus.queryRange(filledIn(query), 30), query).not.toEqual([]);
    }
  });

  test('each rule is healthy, and each selector in it finds series', async () => {
    for (const { name, health, lastError } of await prometheus.rules())
      expect([name, health, lastError]).toEqual([name, 'ok', undefined]);
    // One diagnosis has a series only while it is told: the cases of test/rules make it.
    const always = selectorsIn(RULES).filter((selector) => !/diagnosis=~?"/.test(selector));
    for (const selector of always) expect(await prometheus.query(selector), selector).not.toEqual([]);
  });

  test("a rotation's query comes true although other proxies are scraped, and not without its scope", async () => {
    const [, written = ''] = /^```promql\n(.*)\n```$/m.exec(read('docs/rotation.md')) ?? [];
    const query = written.replaceAll('shop/orders-signature-proxy', 'hooks').replaceAll('"next"', '"current"');
    expect(await prometheus.query(query)).toHaveLength(1);
    expect(await prometheus.query(query.replaceAll('namespace="shop",', ''))).toEqual([]);
  });

  test('a config that only one pod has differs on the dashboard', async () => {
    await appendFile(proxies[0]?.configFile ?? '', '# another\n');
    await expect.poll(differing, { timeout: 90_000, interval: 500 }).toBe(1);
    await appendFile(proxies[1]?.configFile ?? '', '# another\n');
    await expect.poll(differing, { timeout: 90_000, interval: 500 }).toBe(0);
  });

  test('a secret that only one pod has: it differs until the other has it; the runbook’s query agrees', async () => {
    const [first, second] = proxies;
    await upFor(2.1 * MINUTE_MS); // a pod that started within two minutes has read the new value
    const at = Math.floor(Date.now() / 1000);
    const behind = `entrupy_proxy_build_info{namespace="shop"}
      unless on (job, namespace, pod, instance) (entrupy_proxy_secret_changed_timestamp_seconds{secret="own"} > ${at})
      unless on (job, namespace, pod, instance) (process_start_time_seconds > ${at} + 120)`;
    const write = (proxy?: RunningProxy) => writeFile(join(proxy?.directory ?? '', 'secrets/own'), `${OWN} anew`);
    await write(first);
    await expect.poll(differing, { timeout: 90_000, interval: 500 }).toBe(1);
    expect((await prometheus.query(behind)).map(({ metric }) => metric.pod)).toEqual(['pod-1']);
    await write(second);
    await expect.poll(differing, { timeout: 90_000, interval: 500 }).toBe(0);
    expect(await prometheus.query(behind)).toEqual([]);
  });

  test('the alert on a proxy without an app names the diagnosis, and leads to its section', async () => {
    const failed = async () =>
      (await prometheus.alerts()).find(({ labels }) => labels.alertname === 'EntrupyProxyFailed');
    await expect.poll(async () => (await failed())?.state, { timeout: 150_000, interval: 500 }).toBe('firing');
    const { labels, annotations } = (await failed()) ?? {};
    expect(labels).toMatchObject({ job: 'hooks', namespace: 'tls', severity: 'critical' });
    expect(annotations?.summary).toBe('Act now on tls hooks: app-down (1 pod(s)).');
    expect(annotations?.runbook ?? annotations?.runbook_url).toMatch(/alerts\.md#app-down$/);
  });
});

/** What senders, good and bad, send in one round of so many; /events also twice at once, as with two subscriptions. */
const SHOTS = [
  ['signed', 'POST', '/notify', 1],
  ['signed', 'POST', '/events', 4],
  ['signed', 'POST', '/events', 12],
  ['signed', 'POST', '/webhooks/orders', 4],
  ['unsigned', 'POST', '/webhooks/orders', 10],
  ['unsigned', 'GET', '/healthz', 4],
  ['unsigned', 'GET', '/wp-login.php', 10],
  ['unsigned', 'POST', '/closed', 20],
  ['unsigned', 'POST', '/notify', 100],
] as const;

/** One round each 50 ms, to each proxy in turn. */
function startTraffic(urls: readonly string[]) {
  const open = new Set<Promise<unknown>>();
  let round = 0;
  const timer = setInterval(() => {
    round++;
    const event = JSON.stringify({ event: round, note: 'x'.repeat(round % 700) });
    for (const [how, method, target] of SHOTS.filter(([, , , each]) => round % each === 0)) {
      const headers = how === 'signed' ? { 'Entrupy-Signature': sign(FIRST, event) } : {};
      const shot = { method, headers, body: method === 'POST' ? event : null };
      const shooting = fetch(`${urls[round % urls.length]}${target}`, shot)
        .then((response) => response.arrayBuffer())
        .catch(() => {})
        .finally(() => open.delete(shooting));
      open.add(shooting);
    }
  }, 50);
  return {
    async stop() {
      clearInterval(timer);
      await Promise.all(open);
    },
  };
}

/** As Grafana does it, with every variable set to All. */
function filledIn(query: string): string {
  return query
    .replaceAll('$__rate_interval', '5s')
    .replaceAll('$__range', '60s')
    .replaceAll('$job', 'hooks')
    .replaceAll(/\$(namespace|pod|route)/g, '.*');
}

/** Each instant selector of the expressions, but those of recorded names. */
function selectorsIn(rules: string): readonly string[] {
  const groups = parse(rules).groups as { rules: { expr: string }[] }[];
  const expressions = groups.flatMap((group) => group.rules.map(({ expr }) => expr)).join('\n');
  return [...new Set(expressions.match(/(?<![\w:])entrupy_proxy_\w+(?![\w:])(?:\{[^}]*\})?/g))];
}
