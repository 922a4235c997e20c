// No secret, signature or body ever leaks.
// Puts a marker in every secret, signature, body, query and header, takes the proxy through each reason, and searches
// all of its output: the log, metrics, admin pages, responses, and the errors of its commands.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { REASON_NAMES } from '../../src/core/decision.ts';
import { sign } from '../support/deliveries/signer.ts';
import { openClient } from '../support/http/raw-client.ts';
import { callCommand } from '../support/proxy/command.ts';
import { type RunningProxy, startProxy } from '../support/proxy/proxy.ts';
import { type LenientUpstream, startLenientUpstream } from '../support/upstream/lenient-upstream.ts';
import { BODY, CONFIG, ENV, FORBIDDEN, MARK, REQUESTS, SECRETS, wire } from '../testdata/marked-requests.ts';

function expectNoLeak(text: string, where: string): void {
  expect(
    FORBIDDEN.filter((word) => text.toLowerCase().includes(word.toLowerCase())),
    `in ${where}:\n${text}`,
  ).toEqual([]);
}

describe('a proxy that met every reason', () => {
  let upstream: LenientUpstream;
  let proxy: RunningProxy;
  const answers: string[] = [];

  beforeAll(async () => {
    upstream = await startLenientUpstream();
    upstream.answer(({ target }) => {
      if (target.startsWith('/open/cut')) return 'cut';
      return target.startsWith('/open/silent') ? () => {} : 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';
    });
    proxy = await startProxy({ config: { upstream: { url: upstream.url }, ...CONFIG }, env: ENV });
  });
  afterAll(async () => {
    await proxy?.stop();
    await upstream?.close();
  });

  test.each(REQUESTS)('%s', async (_name, sent, status) => {
    const client = await openClient({ port: proxy.port });
    await client.send(wire(sent));
    const response = await client.response();
    client.destroy();
    answers.push(`${response.reason}\n${response.lines.join('\n')}\n${response.body.toString('latin1')}`);
    expect(response.status).toBe(status);
  });

  test('header_timeout', async () => {
    const client = await openClient({ port: proxy.port });
    await client.send(wire({}).slice(0, 100));
    expect((await client.response()).status).toBe(408);
    client.destroy();
  });

  test('client_closed', async () => {
    const client = await openClient({ port: proxy.port });
    await client.send(wire({ target: '/open/silent/left' }));
    client.destroy();
    await proxy.waitForLog(({ reason }) => reason === 'client_closed', 'client_closed');
  });

  test('each reason was met, by its counter', async () => {
    const met = new Set<string>();
    for (const [series, value] of await proxy.metrics()) {
      const reason = /^entrupy_proxy_requests_total\{.*reason="([^"]*)"/.exec(series)?.[1];
      if (reason !== undefined && value > 0) met.add(reason);
    }
    expect([...met].sort()).toEqual(['none', ...REASON_NAMES].sort());
  });

  test.each(['/metrics', '/livez', '/startz', '/readyz', '/health', '/', '/api/status'])(
    'the admin page %s',
    async (path) => {
      for (const accept of ['text/html', 'application/openmetrics-text; version=1.0.0', 'application/json']) {
        const response = await fetch(proxy.adminUrl + path, { headers: { accept } });
        const head = [...response.headers].join('\n');
        expectNoLeak(head + (await response.text()), path);
      }
    },
  );

  test('the responses to clients', () => {
    expect(answers.length).toBe(REQUESTS.length);
    expectNoLeak(answers.join('\n'), 'an answer');
  });

  test('the log, at its most verbose', async () => {
    await proxy.stop();
    expect(proxy.logs().length).toBeGreaterThan(REQUESTS.length);
    expectNoLeak(proxy.output(), 'the log');
  });
});

describe('the errors of the commands', () => {
  let directory: string;
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'entrupy-leak-test-'));
    await writeFile(join(directory, 'secret'), SECRETS.current);
    await writeFile(join(directory, 'short'), MARK);
    await writeFile(join(directory, 'body'), BODY);
  });
  afterAll(() => rm(directory, { recursive: true, force: true }));

  /** Configurations with a secret where none belongs. */
  test.each([
    ['inline', `secrets:\n  - { id: a, value: ${SECRETS.current} }\n`],
    ['inline under another key', `secrets:\n  - { id: a, secret: ${SECRETS.current} }\n`],
    ['as the entry', `secrets:\n  - ${SECRETS.current}\n`],
    ['as the list', `secrets: ${SECRETS.current}\n`],
    ['as a block text', `secrets: |\n  ${SECRETS.current}\n`],
    ['as a key', `secrets:\n  - ${SECRETS.current}: x\n`],
    ['beside broken YAML', `secrets:\n  - { id: a, value: "${SECRETS.current} }\n`],
    ['in the URL', `upstream: { url: "http://user:${SECRETS.current}@127.0.0.1:1" }\n`],
    ['in the store', `once: { store: "redis://:${SECRETS.current}@127.0.0.1/0/x" }\n`],
    ['too short, in a file', 'secrets:\n  - { id: a, file: short }\n'],
  ])('check-config and serve: %s', async (_name, yaml) => {
    const file = join(directory, 'config.yaml');
    await writeFile(file, yaml.replace('file: short', `file: ${join(directory, 'short')}`));
    const { code, stdout, stderr } = await callCommand(['check-config', '--config', file]);
    expect(code).toBe(2);
    expectNoLeak(stdout + stderr, 'check-config');
  });

  test('check-config: secrets in the environment', async () => {
    const env = { UPSTREAM_URL: 'http://127.0.0.1:1', WEBHOOK_ENDPOINT_SECRET_KEY: ` ${SECRETS.current}\n` };
    const { stdout, stderr } = await callCommand(['check-config'], { env });
    expectNoLeak(stdout + stderr, 'check-config');
  });

  test('verify: neither the secret nor the right signature', async () => {
    const args = [
      'verify',
      '--secret-file',
      join(directory, 'secret'),
      '--signature',
      sign('x', BODY),
      join(directory, 'body'),
    ];
    const { code, stdout, stderr } = await callCommand(args);
    expect(code).toBe(1);
    expectNoLeak(stdout + stderr, 'verify');
  });

  test.each([['sign'], ['verify', '--signature', 'SHA256:x'], ['probe', '--url', 'http://127.0.0.1:1/notify']])(
    '%s: a secret that is too short',
    async (...args) => {
      const named = [...args, '--secret-file', join(directory, 'short')];
      const { stdout, stderr } = await callCommand(named, { stdin: BODY });
      expect(stdout + stderr).not.toContain(MARK);
    },
  );

  test('a secret given as an argument is not repeated', async () => {
    const { code, stdout, stderr } = await callCommand(['sign', '--secret', SECRETS.current], { stdin: BODY });
    expect(code).toBe(2);
    expectNoLeak(stdout + stderr, 'sign');
  });
});
