// `explain`: the gate, the route and the query as the pipeline applies them, without a request.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { run } from '../../../src/commands/explain.ts';
import { fakeIo } from '../../support/proxy/fake-io.ts';

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'entrupy-explain-'));
  const routes = [
    '{ path: /notify, query: refuse }',
    '{ path: /prefixed, allowHeaders: [x-forwarded-prefix] }',
    '{ path: /gone, action: reject }',
    '{ path: /trial, mode: report, reportUntil: 2099-01-01T00:00:00Z }',
  ];
  await writeFile(join(folder, 'c.yaml'), `secrets: [{ id: a, file: /a }]\nroutes: [${routes.join(', ')}]\n`);
});
afterAll(() => rm(folder, { recursive: true }));

async function explain(...argv: string[]) {
  const io = fakeIo();
  const code = await run([...argv, '--config', join(folder, 'c.yaml')], io);
  return { code, ...io.printed };
}

test('a header that the route does not allow is named, with the remedy', async () => {
  const { code, stdout } = await explain('POST', '/notify', '--header', 'X-Forwarded-Prefix: /shop');
  expect(code).toBe(0);
  expect(stdout).toContain('The gate refuses it for /notify: rule route-headers, header x-forwarded-prefix\n');
  expect(stdout).toContain('route /notify needs allowHeaders: [x-forwarded-prefix]');
  expect(stdout).toMatch(/=> 400 bad_request\n$/);
  expect(stdout).not.toContain('/shop');
});

test('headers may be repeated, and one that the route allows passes', async () => {
  const two = ['--header', 'X-Forwarded-Prefix: /a', '--header', 'Accept: */*'];
  expect((await explain('POST', '/prefixed', ...two)).stdout).toContain('=> verified by /prefixed');
  const hosts = await explain('POST', '/notify', '--header', 'Host: a', '--header', 'Host: b');
  expect(hosts.stdout).toContain('The gate refuses it on every route: rule one-host, header host\n');
  expect((await explain('POST', '/notify', '--header=Host: a:8080')).stdout).toContain('=> verified by /notify');
});

test('the query is checked after the route and before the method', async () => {
  const { stdout } = await explain('PUT', '/notify?a=b');
  expect(stdout).toContain('/notify refuses it: rule query\n');
  expect(stdout).toMatch(/=> 400 bad_request\n$/);
  expect((await explain('PUT', '/notify')).stdout).toContain('=> 405 method_not_allowed');
  expect((await explain('POST', '/gone?a')).stdout).toContain('=> 404 route_rejected');
});

test('the problem of a signature in another form is named, as in the log, and the signature is not', async () => {
  const hex = ['--header', `Entrupy-Signature: SHA256:${'a1'.repeat(32)}`];
  const { stdout } = await explain('POST', '/notify', ...hex);
  expect(stdout).toMatch(/\n {2}the signature is hex, not base64\n=> 401 malformed_signature\n$/);
  expect(stdout).not.toContain('a1a1');
  expect(JSON.parse((await explain('POST', '/notify', ...hex, '--json')).stdout)).toMatchObject({
    reason: 'malformed_signature',
    hint: 'the signature is hex, not base64',
  });
  const reported = (await explain('POST', '/trial', ...hex)).stdout;
  expect(reported).toMatch(/\n {2}the signature is hex, not base64\n=> forwarded, reported as malformed_signature\n$/);
});

test('an invalid header is an error, and is not repeated', async () => {
  for (const bad of ['Entrupy-Signature SHA256:PASTED', ': PASTED', 'a b: PASTED', 'a: PASTED\r\nb: c']) {
    const { code, stderr } = await explain('POST', '/notify', '--header', bad);
    expect([code, stderr]).toEqual([2, expect.stringContaining("--header needs the form 'NAME: VALUE'")]);
    expect(stderr).not.toContain('PASTED');
  }
});
