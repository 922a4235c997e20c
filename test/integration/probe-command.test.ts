// `probe TARGET` against running proxies: it goes there by the configuration, signed with what the route lists.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'vitest';
import { NOBODY } from '../support/machine/free-port.ts';
import { callCommand } from '../support/proxy/command.ts';
import { test, value } from '../support/proxy/proxied.ts';
import type { RunningProxy } from '../support/proxy/proxy.ts';
import { createAuthority } from '../support/tls/certificates.ts';

/** The proxy listens on a free port, which the variable tells the command. */
function probe({ port, configFile }: Pick<RunningProxy, 'port' | 'configFile'>, ...args: string[]) {
  return callCommand(['probe', '--config', configFile, ...args], { env: { LISTEN_PORT: String(port) } });
}

const UNSIGNED = ['--unsigned', '--expect', '401'];

test('a signed one reaches the app each time, an unsigned one never; neither counts', async ({ start, upstream }) => {
  const proxy = await start({ routes: [{ path: '/notify', once: '1h' }] });
  for (let count = 1; count <= 2; count++) {
    const { code, stdout } = await probe(proxy, '/notify?a=b');
    expect([code, stdout]).toEqual([
      0,
      `ok: expected 2xx, got 200 {"status":"ok"} (signed POST http://127.0.0.1:${proxy.port}/notify?a=b)\n`,
    ]);
  }
  expect(await probe(proxy, '/notify', ...UNSIGNED)).toMatchObject({ code: 0 });
  expect(upstream.requests.map(({ target }) => target)).toEqual(['/notify?a=b', '/notify?a=b']);
  const metrics = await proxy.metrics();
  const count = (name: string) => metrics.get(`entrupy_proxy_${name}`);
  expect(count('requests_total{route="/notify",decision="probe",reason="none"}')).toBe(2);
  expect(count('requests_total{route="/notify",decision="rejected",reason="missing_signature"}')).toBe(1);
  expect(count('deliveries_total{route="/notify",fate="taken"}')).toBe(0);
});

test('it signs with the live secrets of the route, in turn, or with the one given', async ({ start, directory }) => {
  const secrets = { other: value('b'), retired: value('c'), listed: value('a') };
  const proxy = await start({ routes: [{ path: '/notify', secrets: ['listed'] }] }, { secrets });
  expect(await probe(proxy, '/notify')).toMatchObject({ code: 0 });
  // The command reads another configuration than the one that runs: the second of its secrets is the one that is taken.
  const both = join(directory, 'both.yaml');
  const folder = join(proxy.directory, 'secrets');
  const sources = ['retired', 'listed'].map((id) => `{ id: ${id}, file: ${join(folder, id)} }`);
  await writeFile(both, `secrets: [${sources.join(', ')}]\nlisten: { host: 127.0.0.1 }\n`);
  const { code, stdout, stderr } = await probe({ ...proxy, configFile: both }, '/notify');
  expect([code, stdout]).toEqual([0, expect.stringContaining('with listed)')]);
  expect(stdout + stderr).not.toContain('value-of');
  const given = ['--secret-file', join(folder, 'other')];
  expect(await probe(proxy, '/notify', ...given, '--expect', '401')).toMatchObject({ code: 0 });
});

test('an app that is down is a failure', async ({ start }) => {
  const proxy = await start({ upstream: { url: NOBODY, retryConnectFor: '0s' } });
  expect(await probe(proxy, '/notify')).toMatchObject({ code: 1, stdout: expect.stringContaining('got 502') });
});

test('what no route verifies cannot be probed', async ({ start, upstream }) => {
  const proxy = await start({
    routes: [
      { path: '/open', action: 'forward' },
      { path: '/closed', action: 'reject' },
    ],
  });
  const said = async (target: string) => (await probe(proxy, target)).stderr;
  expect(await said('/open')).toBe(
    'entrupy-signature-proxy probe: a POST to /open cannot be probed: no route verifies it\n',
  );
  expect(await said('/closed')).toContain('it is refused as route_rejected');
  expect(await probe(proxy, '/open')).toMatchObject({ code: 2 });
  expect(upstream.requests).toEqual([]);
});

test('a target never names another host', async ({ start, upstream }) => {
  const proxy = await start();
  expect(await probe(proxy, '//127.0.0.1:1/notify')).toMatchObject({ code: 0 });
  expect(upstream.requests.map(({ target }) => target)).toEqual(['//127.0.0.1:1/notify']);
});

test('a TLS listener is asked over TLS, but for one that wants certificates', async ({ start, directory }) => {
  const authority = createAuthority(directory, 'authority');
  const pair = authority.issue('proxy', { names: ['DNS:hooks.example'] });
  expect(await probe(await start({ listen: { tls: pair } }), '/notify')).toMatchObject({ code: 0 });
  const strict = await start({ listen: { tls: { ...pair, clientCaFile: authority.caFile } } });
  expect(await probe(strict, '/notify')).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('clients need a TLS certificate (listen.tls.clientCaFile)'),
  });
});
