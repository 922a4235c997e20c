// A real Prometheus sees the attack, the rotation and the outage.
// Two proxies under traffic, scraped by a real Prometheus. It evaluates each query of the dashboard and each rule; the
// expected alerts fire and the others do not. The rules are the shipped ones with shorter durations (short-rules.ts).
import { readFileSync } from 'node:fs';
import { appendFile, copyFile, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { METRIC_NAMES, PREFIX } from '../../src/metrics/metric-table.ts';
import { ROUTES, startTraffic, type Traffic } from '../support/load/traffic.ts';
import { HAS_PROMETHEUS, type Prometheus, startPrometheus } from '../support/metrics/prometheus.ts';
import { dashboardQueries, metricsIn } from '../support/metrics/seen.ts';
import { shortRules } from '../support/metrics/short-rules.ts';
import { type RunningProxy, startProxy } from '../support/proxy/proxy.ts';
import { createAuthority } from '../support/tls/certificates.ts';
import { startUpstream, type Upstream } from '../support/upstream/upstream.ts';

const read = (path: string) => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');
const RULES = read('helm/files/rules.yaml');
const MINUTE_MS = 60_000;
const FIRST = 'the first secret, 32 bytes or more';
const SECOND = 'the second secret, 32 bytes or more';
const OWN = 'a secret of their own, 32 bytes or more';
const THIRD = 'the third secret, 32 bytes or more';

function config(upstreamUrl: string, directory: string): Record<string, unknown> {
  return {
    upstream: { url: upstreamUrl, retryConnectFor: '200ms', checkExposure: true },
    secrets: [
      { directory, overlap: '1h' },
      // The same config with a separate file for each proxy, so a change can reach one pod only.
      { id: 'own', file: 'secrets/own' },
      { id: 'spare', env: 'SPARE', notAfter: new Date(Date.now() + 30 * 86_400_000).toISOString() },
    ],
    // No delivery comes to the last one: its series are there, and no outage of this test is deferred.
    routes: [...ROUTES, { path: '/kept', redeliver: '1h' }],
    // One text of the configuration, and a directory of its own for each proxy.
    redelivery: { store: '/proc/self/cwd/secrets' },
  };
}

describe.skipIf(!HAS_PROMETHEUS)('a real Prometheus (needs Debian’s prometheus)', () => {
  let upstream: Upstream;
  let proxies: readonly RunningProxy[] = [];
  let tlsProxy: RunningProxy | undefined;
  let certificates: ReturnType<typeof certificatesIn>;
  let prometheus: Prometheus;
  let traffic: Traffic;
  /** The shared config of both proxies. */
  let secrets = '';
  let startedAt = 0;

  beforeAll(async () => {
    upstream = await startUpstream();
    secrets = await mkdtemp(join(tmpdir(), 'secrets-test-'));
    await writeSecret('current', FIRST);
    const options = {
      config: config(upstream.url, secrets),
      env: { POD_IP: '127.0.0.2', SPARE: 'a spare secret, 32 bytes or more!' },
      secrets: { own: OWN },
      cwd: 'own',
    } as const;
    certificates = certificatesIn(secrets);
    await putCertificate('month');
    const tls = { certFile: join(secrets, '.tls.crt'), keyFile: join(secrets, '.tls.key') };
    const withTls = startProxy({ config: { upstream: { url: upstream.url }, listen: { tls } }, secrets: { own: OWN } });
    const both = Promise.all([startProxy(options), startProxy(options)]);
    [proxies, tlsProxy] = await Promise.all([both, withTls]);
    const targets = proxies.map(({ adminPort }, index) => ({
      port: adminPort,
      labels: { namespace: 'shop', pod: `pod-${index}` },
    }));
    targets.push({ port: tlsProxy.adminPort, labels: { namespace: 'tls', pod: 'pod-0' } });
    prometheus = await startPrometheus({ job: 'hooks', targets, rules: shortRules(RULES) });
    startedAt = Date.now();
    const urls = proxies.map(({ url }) => url);
    traffic = startTraffic(urls, { secret: FIRST, forged: 0, deliveries: true });
  });

  afterAll(async () => {
    await traffic?.stop();
    await prometheus?.stop();
    await Promise.all([...proxies, tlsProxy].map((proxy) => proxy?.stop()));
    await upstream?.close();
    await rm(secrets, { recursive: true, force: true });
  });

  /** Waits until exactly these alerts fire. The alert that a route only reports for a "week" comes in time. */
  async function untilFiring(...wanted: readonly string[]): Promise<void> {
    const expected = wanted.map((name) => `EntrupyProxy${name}`).toSorted();
    const seen = async () => {
      const names = (await prometheus.firing()).map(({ labels }) => labels.alertname ?? '');
      return [...new Set(names)].filter((name) => name !== 'EntrupyProxyReportModeTooLong').toSorted();
    };
    await expect.poll(seen, { timeout: 90_000, interval: 500 }).toEqual(expected);
  }

  /** Like `firing`, but one of these alerts may fire along with it, earlier or later. */
  async function untilFiringAmong(name: string, others: readonly string[]): Promise<void> {
    const allowed = [name, ...others, 'ReportModeTooLong'].map((short) => `EntrupyProxy${short}`);
    const seen = async () => {
      const names = (await prometheus.firing()).map(({ labels }) => labels.alertname ?? '');
      expect(allowed).toEqual(expect.arrayContaining(names));
      return names;
    };
    await expect.poll(seen, { timeout: 90_000, interval: 500 }).toContain(`EntrupyProxy${name}`);
  }

  function alert(name: string) {
    return prometheus.firing().then((all) => all.find(({ labels }) => labels.alertname === `EntrupyProxy${name}`));
  }

  async function putCertificate(name: keyof typeof certificates): Promise<void> {
    await copyFile(certificates[name].certFile, join(secrets, '.tls.crt'));
    await copyFile(certificates[name].keyFile, join(secrets, '.tls.key'));
  }

  const writeSecret = (id: string, value: string) => writeFile(join(secrets, id), value);

  test('after a minute of mixed traffic each dashboard query returns data, and no alert fires', async () => {
    await new Promise((resolve) => setTimeout(resolve, startedAt + MINUTE_MS - Date.now()));
    expect(await prometheus.firing()).toEqual([]);
    for (const query of dashboardQueries(JSON.parse(read('helm/files/dashboard.json')))) {
      // No failed reload and no changed secret yet: tested below. Nothing deferred.
      if (/result="failure"|secret_changed|deferred_oldest/.test(query)) continue;
      expect(await prometheus.queryRange(filledIn(query), 30), query).not.toEqual([]);
    }
  });

  test('an event that arrives twice counts once as accepted and once as a duplicate', async () => {
    const increase = async (decision: string) => {
      const series = `entrupy_proxy_requests_total{route="/events",decision="${decision}"}`;
      const [sum] = await prometheus.query(`sum(increase(${series}[20s]))`);
      return Number(sum?.value?.[1]);
    };
    const [accepted, duplicates] = await Promise.all([increase('accepted'), increase('duplicate')]);
    expect(duplicates).toBeGreaterThan(10);
    expect(accepted / duplicates).toBeCloseTo(3, 0); // one event in three arrives twice
    const [entries] = await prometheus.query('max(entrupy_proxy_once_entries)');
    expect(Number(entries?.value?.[1])).toBeGreaterThan(50);
  });

  test('each rule is healthy, and each selector in it finds series', async () => {
    for (const { name, health, lastError } of await prometheus.rules())
      expect([name, health, lastError]).toEqual([name, 'ok', undefined]);
    for (const selector of selectorsIn(RULES)) expect(await prometheus.query(selector), selector).not.toEqual([]);
  });

  test('each metric is documented, and each documented metric exists', async () => {
    const doc = read('docs/metrics.md');
    const scraped = (await prometheus.metricNames()).flatMap((name) => metricsIn(name));
    expect(scraped.filter((name) => !doc.includes(`\`${name}\``))).toEqual([]);
    const families = METRIC_NAMES.map((name) => PREFIX + name);
    expect(families.filter((name) => !scraped.includes(name))).toEqual([]);
    // Some of Node's own metrics have a series only while there is something to count; each scrape still names them.
    const exposed = await (await fetch(`${proxies[0]?.adminUrl}/metrics`)).text();
    expect(metricsIn(doc).filter((name) => !exposed.includes(`# TYPE ${name} `))).toEqual([]);
  });

  test('an attack: only the ratio alert fires, with the reasons in its text', async () => {
    traffic.mix = { ...traffic.mix, forged: 3 };
    await untilFiring('RejectionRatioHigh');
    const description = (await alert('RejectionRatioHigh'))?.annotations.description;
    expect(description).toMatch(/signature_mismatch on \/notify \(\d+ in/);
    expect(description).toContain('missing_signature on /notify');
    traffic.mix = { ...traffic.mix, forged: 0 };
    await untilFiring();
  });

  test('a rotation with an overlap: the old value is still used, then no longer', async () => {
    await writeSecret('current', SECOND);
    await untilFiring('OldSecretStillUsed');
    expect((await alert('OldSecretStillUsed'))?.labels.secret).toBe('current.previous');
    const changed = dashboardQueries(JSON.parse(read('helm/files/dashboard.json'))).filter((query) =>
      query.includes('secret_changed'),
    );
    expect(changed.length).toBeGreaterThan(1);
    for (const query of changed) expect(await prometheus.queryRange(filledIn(query), 30), query).not.toEqual([]);
    traffic.mix = { ...traffic.mix, secret: SECOND };
    await untilFiring();
    const moved = await prometheus.query('sum by (secret) (increase(entrupy_proxy_secret_matches_total[10s])) > 0');
    expect(moved.map(({ metric }) => metric.secret)).toEqual(['current']);
  });

  test('a failed rotation: everything is rejected; once fixed, the old secret can go', async () => {
    traffic.mix = { ...traffic.mix, secret: THIRD };
    await untilFiringAmong('EverythingRejected', ['RejectionRatioHigh']);
    await writeSecret('third', THIRD);
    await untilFiring('OldSecretUnused');
    expect((await alert('OldSecretUnused'))?.labels.secret).toBe('current');
    await rm(join(secrets, 'current'));
    await untilFiring();
  });

  test('a config that only one pod has: drift', async () => {
    await appendFile(proxies[0]?.configFile ?? '', '# another\n');
    await untilFiring('ConfigDrift');
    await appendFile(proxies[1]?.configFile ?? '', '# another\n');
    await untilFiring();
  });

  test('a secret that only one pod has: stale until the other has it; the runbook’s query agrees', async () => {
    const [first, second] = proxies;
    const at = Math.floor(Date.now() / 1000);
    const behind = `entrupy_proxy_build_info{namespace="shop"}
      unless on (job, namespace, pod, instance) (entrupy_proxy_secret_changed_timestamp_seconds{secret="own"} > ${at})
      unless on (job, namespace, pod, instance) (process_start_time_seconds > ${at} + 120)`;
    const write = (proxy?: RunningProxy) => writeFile(join(proxy?.directory ?? '', 'secrets/own'), `${OWN} anew`);
    await write(first);
    await untilFiring('SecretStale');
    expect(await alert('SecretStale')).toMatchObject({
      labels: { secret: 'own', namespace: 'shop' },
      annotations: { summary: expect.stringMatching(/^1 pod/), description: expect.stringContaining('pod-1') },
    });
    expect((await prometheus.query(behind)).map(({ metric }) => metric.pod)).toEqual(['pod-1']);
    await write(second);
    await untilFiring();
    expect(await prometheus.query(behind)).toEqual([]);
  });

  test('an expiring certificate: an alert two weeks before, and another when it is urgent', async () => {
    await putCertificate('tenDays');
    await untilFiring('CertificateExpiresSoon');
    await putCertificate('twoDays');
    await untilFiring('CertificateAboutToExpire');
    expect((await alert('CertificateAboutToExpire'))?.labels).toMatchObject({
      certificate: 'listen',
      namespace: 'tls',
    });
    await putCertificate('month');
    await untilFiring();
  });

  test('an upstream outage: only the upstream alert, with its cause, and the alert on failed deliveries fire', async () => {
    await upstream.close();
    await untilFiring('DeliveryFailed', 'UpstreamFailing');
    expect((await alert('UpstreamFailing'))?.annotations.description).toMatch(/: connect \(\d+\), see the log/);
    upstream = await startUpstream({ port: upstream.port });
    await untilFiring();
  });

  test('an unreadable config: only the reload alert fires, and the dashboard marks it', async () => {
    const { configFile = '' } = proxies[0] ?? {};
    const good = readFileSync(configFile, 'utf8');
    await writeFile(configFile, `${good}\nnonsense: true\n`);
    await untilFiring('ReloadFailed');
    const failed = dashboardQueries(JSON.parse(read('helm/files/dashboard.json'))).filter((query) =>
      query.includes('result="failure"'),
    );
    expect(failed).toHaveLength(1);
    for (const query of failed) expect(await prometheus.queryRange(filledIn(query), 30), query).not.toEqual([]);
    await writeFile(configFile, good);
    await untilFiring();
  });

  test('no deliveries: that alert fires, and the route that has long been in report mode is named', async () => {
    traffic.mix = { ...traffic.mix, deliveries: false };
    await untilFiring('NoDeliveries');
    expect((await alert('ReportModeTooLong'))?.labels.route).toBe('/webhooks/*');
  });
});

function certificatesIn(directory: string) {
  const authority = createAuthority(directory, '.authority');
  const names = ['IP:127.0.0.1'];
  return {
    month: authority.issue('month', { names }),
    tenDays: authority.issue('ten-days', { names, days: 10 }),
    twoDays: authority.issue('two-days', { names, days: 2 }),
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

/** Each instant selector of the expressions, including those of recorded names. */
function selectorsIn(rules: string): readonly string[] {
  const groups = parse(rules).groups as { rules: { expr: string }[] }[];
  const expressions = groups.flatMap((group) => group.rules.map(({ expr }) => expr)).join('\n');
  return [...new Set(expressions.match(/\b[a-z_:]*entrupy_proxy_[a-z0-9_:]+(?:\{[^}]*\})?/g))];
}
