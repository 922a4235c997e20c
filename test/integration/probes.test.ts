// A probe is no delivery: its answer is the app's own, on any route, and nothing but its own series counts it. `probe TARGET`
// sends it to a running proxy by the configuration, signed with what the route lists.
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'vitest';
import { exchange, sendTo } from '../support/http/raw-client.ts';
import { delivery, post } from '../support/http/requests.ts';
import { callCommand } from '../support/proxy/command.ts';
import { eventually, test, value } from '../support/proxy/proxied.ts';
import type { RunningProxy } from '../support/proxy/proxy.ts';
import { change } from '../support/proxy/reloads.ts';
import { enough } from '../support/runner/patience.ts';
import { createAuthority } from '../support/tls/certificates.ts';

const PROBE = '{"probe":"entrupy-signature-proxy"}';
const BOTH = { path: '/notify', once: '1h', redeliver: '1h' };

async function send(proxy: RunningProxy, bytes: string) {
  const { status, body } = await exchange(proxy, bytes);
  return { status, text: body.toString() };
}

const probe = (proxy: RunningProxy, target = '/notify') => send(proxy, delivery(PROBE, value('a'), { target }));

/** The series that count probes, and all that anything has changed, but those of the process and of durations. */
async function counted(proxy: RunningProxy) {
  const all = [...(await proxy.metrics())].filter(([name, amount]) => /_total\{.*route=/.test(name) && amount > 0);
  return Object.fromEntries(all.map(([name, amount]) => [name.replace('entrupy_proxy_', ''), amount]));
}

test('each reaches the app despite once and redeliver; its answer passes', async ({ start, directory, answering }) => {
  let status = 0;
  const app = await answering((_, response) => void (status && response.writeHead(status).end(`app ${status}`)));
  const upstream = { url: app.url, connections: 1, retryConnectFor: enough(1) };
  const proxy = await start({ upstream, routes: [BOTH], redelivery: { store: directory } });
  for (status of [200, 200, 404, 503, 500, 429, 200])
    expect(await probe(proxy)).toEqual({ status, text: `app ${status}` });
  expect(app.requests).toHaveLength(7);
  const series = (reason: string) => `requests_total{route="/notify",decision="probe",reason="${reason}"}`;
  expect(await counted(proxy)).toEqual({ [series('none')]: 7 });
  expect((await proxy.metrics()).get('entrupy_proxy_deferred_deliveries{state="waiting"}')).toBe(0);
  expect((await proxy.metrics()).get('entrupy_proxy_secret_last_match_timestamp_seconds{secret="current"}')).toBe(0);
  expect(proxy.logs().filter(({ msg }) => msg === 'request')).toEqual([]);
  const { lastProbe, routes, refusals, undelivered } = await proxy.status();
  expect(lastProbe).toMatchObject({ route: '/notify', path: '/notify', status: 200, upstreamStatus: 200 });
  expect([refusals, undelivered, routes[0]?.traffic.lastTaken]).toEqual([[], [], null]);

  // One that finds no slot, one whose sender leaves, and one that the app does not answer stay probes.
  status = 0;
  const client = await sendTo(proxy, delivery(PROBE, value('a')));
  await eventually(() => app.requests.length, 8);
  expect(await probe(proxy)).toEqual({ status: 503, text: '{"error":"overloaded"}' });
  client.destroy();
  await eventually(() => counted(proxy), { [series('none')]: 8, [series('client_closed')]: 1 });
  // It feeds no verdict, and what it found is told beside what is not proven.
  expect((await proxy.status()).advice).toEqual([
    expect.objectContaining({
      ...{ state: 'ok', id: 'nothing-proven' },
      message: expect.stringMatching(/^The app did not take the last probe\. Nothing else is/),
    }),
    expect.objectContaining({
      ...{ state: 'note', id: 'sender-leaves', remedy: expect.stringMatching(/^Let the app answer first/) },
      message: expect.stringMatching(/^The sender left, .* the last probe, /),
    }),
  ]);
  await app.close();
  expect(await probe(proxy)).toEqual({ status: 502, text: '{"error":"bad_gateway"}' });
  expect(await counted(proxy)).toEqual({ [series('none')]: 9, [series('client_closed')]: 1 });
  const line = await proxy.waitForLog(({ msg, status }) => msg === 'request' && status === 502);
  expect(line).toMatchObject({ level: 'error', decision: 'probe' });
  expect((await proxy.status()).lastProbe).toMatchObject({ status: 502, upstreamStatus: 0 });
});

test('only exactly its body, verified, is a probe', async ({ start, upstream }) => {
  const routes = [
    { path: '/watched', mode: 'report' },
    { path: '/open', action: 'forward' },
  ];
  const proxy = await start({ upstream: { url: upstream.url }, routes });
  expect((await send(proxy, post(PROBE))).status).toBe(401);
  expect((await send(proxy, delivery(PROBE, value('b')))).status).toBe(401);
  expect((await send(proxy, delivery(`${PROBE}\n`, value('a')))).status).toBe(200);
  expect((await send(proxy, delivery(PROBE.replace(':', ': '), value('a')))).status).toBe(200);
  expect((await send(proxy, delivery(PROBE, value('a'), { target: '/open' }))).status).toBe(200);
  expect((await send(proxy, delivery(PROBE, value('b'), { target: '/watched' }))).status).toBe(200);
  expect((await probe(proxy, '/watched')).status).toBe(200);
  expect(await counted(proxy)).toMatchObject({
    'requests_total{route="unmatched",decision="rejected",reason="missing_signature"}': 1,
    'requests_total{route="unmatched",decision="rejected",reason="signature_mismatch"}': 1,
    'requests_total{route="unmatched",decision="accepted",reason="none"}': 2,
    'requests_total{route="/open",decision="forwarded",reason="none"}': 1,
    'requests_total{route="/watched",decision="reported",reason="signature_mismatch"}': 1,
    'requests_total{route="/watched",decision="probe",reason="none"}': 1,
    'deliveries_total{route="unmatched",fate="taken"}': 2,
    'unverified_signatures_total{route="/open"}': 1,
  });
});

/** The proxy listens on a free port, which the variable tells the command. */
function probeBy({ port, configFile }: Pick<RunningProxy, 'port' | 'configFile'>, ...args: string[]) {
  return callCommand(['probe', '--config', configFile, ...args], { env: { LISTEN_PORT: String(port) } });
}

const UNSIGNED = ['--unsigned', '--expect', '401'];

test('a signed one reaches the app each time, an unsigned one never', async ({ start, upstream, directory }) => {
  const routes = [
    { path: '/notify', once: '1h', secrets: ['listed'] },
    { path: '/open', action: 'forward' },
    { path: '/closed', action: 'reject' },
  ];
  const secrets = { other: value('b'), retired: value('c'), listed: value('a') };
  const proxy = await start({ upstream: { url: upstream.url, retryConnectFor: '0s' }, routes }, { secrets });
  for (let count = 1; count <= 2; count++) {
    const { code, stdout } = await probeBy(proxy, '/notify?a=b');
    expect([code, stdout]).toEqual([
      0,
      `ok: expected 2xx, got 200 {"status":"ok"} (signed POST http://127.0.0.1:${proxy.port}/notify?a=b)\n`,
    ]);
  }
  const leaked = ['--secret-file', join(proxy.directory, 'secrets', 'other'), '--expect', '401'];
  for (const how of [UNSIGNED, leaked, UNSIGNED, leaked, UNSIGNED, leaked])
    expect(await probeBy(proxy, '/notify', ...how)).toMatchObject({ code: 0 });
  const { advice } = await proxy.status();
  expect(advice.map(({ state, id }) => `${state} ${id}`)).toEqual([
    ...['ok nothing-proven', 'note no-signature', 'note other-route-secret'],
  ]);
  expect(upstream.requests.map(({ target }) => target)).toEqual(['/notify?a=b', '/notify?a=b']);

  // What no route verifies cannot be probed.
  const said = async (target: string) => (await probeBy(proxy, target)).stderr;
  expect(await said('/open')).toEqual(expect.stringContaining(': a POST to /open cannot be probed: no route verifies'));
  expect(await said('/closed')).toContain('it is refused as route_rejected');
  expect(await probeBy(proxy, '/open')).toMatchObject({ code: 2 });
  expect(upstream.requests).toHaveLength(2);

  // A target never names another host.
  expect(await probeBy(proxy, '//127.0.0.1:1/notify')).toMatchObject({ code: 0 });
  expect(upstream.requests.at(-1)?.target).toBe('//127.0.0.1:1/notify');

  // The command reads another configuration than the one that runs: the second of its secrets is the one that is taken.
  const both = join(directory, 'both.yaml');
  const folder = join(proxy.directory, 'secrets');
  const sources = ['retired', 'listed'].map((id) => `{ id: ${id}, file: ${join(folder, id)} }`);
  await writeFile(both, `secrets: [${sources.join(', ')}]\nlisten: { host: 127.0.0.1 }\n`);
  const { code, stdout, stderr } = await probeBy({ ...proxy, configFile: both }, '/notify');
  expect([code, stdout]).toEqual([0, expect.stringContaining('with listed)')]);
  expect(stdout + stderr).not.toContain('value-of');
  const given = ['--secret-file', join(folder, 'other')];
  expect(await probeBy(proxy, '/notify', ...given, '--expect', '401')).toMatchObject({ code: 0 });

  await upstream.close();
  expect(await probeBy(proxy, '/notify')).toMatchObject({ code: 1, stdout: expect.stringContaining('got 502') });

  // The proxy has the last good value of a secret that cannot be read any more; an unsigned one needs none.
  await rm(join(folder, 'listed'));
  const unread = expect.stringContaining('a POST to /notify cannot be signed: ');
  expect(await probeBy(proxy, '/notify')).toMatchObject({ code: 2, stderr: unread });
  expect(await probeBy(proxy, '/notify', ...UNSIGNED)).toMatchObject({ code: 0 });
});

test('a TLS listener is asked over TLS, but for one that wants certificates', async ({ start, directory }) => {
  const authority = createAuthority(directory, 'authority');
  const tls = authority.issue('proxy', { names: ['DNS:hooks.example'] });
  const proxy = await start({ listen: { tls } });
  expect(await probeBy(proxy, '/notify')).toMatchObject({ code: 0 });
  const strict = { ...tls, clientCaFile: authority.caFile };
  await change(proxy, (config) => ({ listen: { ...config.listen, tls: strict } }));
  expect(await probeBy(proxy, '/notify')).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('clients need a TLS certificate (listen.tls.clientCaFile)'),
  });
});
