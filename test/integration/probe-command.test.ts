// `probe TARGET` against running proxies: it goes there by the configuration, signed with what the route lists.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'vitest';
import { callCommand } from '../support/proxy/command.ts';
import { test, value } from '../support/proxy/proxied.ts';
import type { RunningProxy } from '../support/proxy/proxy.ts';
import { edit, reload } from '../support/proxy/reloads.ts';
import { createAuthority } from '../support/tls/certificates.ts';

/** The proxy listens on a free port, which the variable tells the command. */
function probe({ port, configFile }: Pick<RunningProxy, 'port' | 'configFile'>, ...args: string[]) {
  return callCommand(['probe', '--config', configFile, ...args], { env: { LISTEN_PORT: String(port) } });
}

const UNSIGNED = ['--unsigned', '--expect', '401'];

test('a signed one reaches the app each time, an unsigned one never; neither counts', async ({
  start,
  upstream,
  directory,
}) => {
  const routes = [
    { path: '/notify', once: '1h', secrets: ['listed'] },
    { path: '/open', action: 'forward' },
    { path: '/closed', action: 'reject' },
  ];
  const secrets = { other: value('b'), retired: value('c'), listed: value('a') };
  const proxy = await start({ upstream: { url: upstream.url, retryConnectFor: '0s' }, routes }, { secrets });
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

  // What no route verifies cannot be probed.
  const said = async (target: string) => (await probe(proxy, target)).stderr;
  expect(await said('/open')).toBe(
    'entrupy-signature-proxy probe: a POST to /open cannot be probed: no route verifies it\n',
  );
  expect(await said('/closed')).toContain('it is refused as route_rejected');
  expect(await probe(proxy, '/open')).toMatchObject({ code: 2 });
  expect(upstream.requests).toHaveLength(2);

  // A target never names another host.
  expect(await probe(proxy, '//127.0.0.1:1/notify')).toMatchObject({ code: 0 });
  expect(upstream.requests.at(-1)?.target).toBe('//127.0.0.1:1/notify');

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

  await upstream.close();
  expect(await probe(proxy, '/notify')).toMatchObject({ code: 1, stdout: expect.stringContaining('got 502') });
});

test('a TLS listener is asked over TLS, but for one that wants certificates', async ({ start, directory }) => {
  const authority = createAuthority(directory, 'authority');
  const tls = authority.issue('proxy', { names: ['DNS:hooks.example'] });
  const proxy = await start({ listen: { tls } });
  expect(await probe(proxy, '/notify')).toMatchObject({ code: 0 });
  const strict = { ...tls, clientCaFile: authority.caFile };
  await edit(proxy, (config) => ({ ...config, listen: { ...config.listen, tls: strict } }));
  await reload(proxy);
  expect(await probe(proxy, '/notify')).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('clients need a TLS certificate (listen.tls.clientCaFile)'),
  });
});
