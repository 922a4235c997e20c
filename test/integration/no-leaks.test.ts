// Puts a marker in every secret, signature, body, query and header, takes the proxy through each reason, and searches
// all of its output: the log, metrics, admin pages, responses, and the errors of its commands.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { REASON_NAMES } from '../../src/core/reasons.ts';
import { sign } from '../support/deliveries/signer.ts';
import { exchange, sendTo } from '../support/http/raw-client.ts';
import { ownDirectory } from '../support/machine/files.ts';
import { callCommand } from '../support/proxy/command.ts';
import { shared } from '../support/proxy/shared.ts';
import { OK, startLenientUpstream } from '../support/upstream/lenient-upstream.ts';
import { BODY, CONFIG, ENV, FORBIDDEN, MARK, PASTED, REQUESTS, SECRETS, wire } from '../testdata/marked-requests.ts';

function expectNoLeak(text: string, where: string): void {
  expect(
    FORBIDDEN.filter((word) => text.toLowerCase().includes(word.toLowerCase())),
    `in ${where}:\n${text}`,
  ).toEqual([]);
}

describe('a proxy that met every reason', () => {
  const on = shared(startLenientUpstream, CONFIG, { env: ENV, secrets: {} });
  const answers = new Map<string, string>();
  beforeAll(() =>
    on.upstream.answer(({ target }) => {
      if (target.startsWith('/open/cut')) return 'cut';
      return target.startsWith('/open/silent') ? () => {} : OK;
    }),
  );

  test.each(REQUESTS)('%s gets its status', async (name, sent, status) => {
    const response = await exchange(on.proxy, wire(sent));
    answers.set(name, `${response.reason}\n${response.lines.join('\n')}\n${response.body.toString('latin1')}`);
    expect(response.status).toBe(status);
  });

  test('header_timeout is met by half a head', async () => {
    const client = await sendTo(on.proxy, wire({}).slice(0, 100));
    expect((await client.response()).status).toBe(408);
  });

  test('client_closed is met by a client that leaves', async () => {
    const client = await sendTo(on.proxy, wire({ target: '/open/silent/left' }));
    client.destroy();
    await on.proxy.waitForLog(({ reason }) => reason === 'client_closed', 'client_closed');
  });

  // A loop needs an upstream that is the proxy itself: test/integration/loops.test.ts.
  test('each reason was met but a loop, by its counter', async () => {
    const met = new Set<string>();
    for (const [series, value] of await on.proxy.metrics()) {
      const reason = /^entrupy_proxy_requests_total\{.*reason="([^"]*)"/.exec(series)?.[1];
      if (reason !== undefined && value > 0) met.add(reason);
    }
    expect([...met].sort()).toEqual(['none', ...REASON_NAMES].filter((name) => name !== 'loop_detected').sort());
  });

  test.each(['/metrics', '/livez', '/startz', '/readyz', '/health', '/', '/api/status'])(
    'the admin page %s',
    async (path) => {
      for (const accept of ['text/html', 'application/openmetrics-text; version=1.0.0', 'application/json']) {
        const response = await fetch(on.proxy.adminUrl + path, { headers: { accept } });
        const head = [...response.headers].join('\n');
        expectNoLeak(head + (await response.text()), path);
      }
    },
  );

  test('the answer to a reload, which names a secret whose value stands in place of a name, as all pages do', async () => {
    const paths = ['/', '/api/status', '/readyz', '/metrics'];
    const pages = await Promise.all(paths.map((path) => fetch(on.proxy.adminUrl + path)));
    const reload = await fetch(`${on.proxy.adminUrl}/-/reload`, { method: 'POST' });
    const texts = await Promise.all([...pages, reload].map((response) => response.text()));
    for (const text of texts) expect(text).toContain('absent');
    expectNoLeak(texts.join('\n'), 'an answer');
    const warning = { msg: 'configuration warning', key: 'secrets[3].env' };
    expect(on.proxy.logs()).toContainEqual(expect.objectContaining(warning));
  });

  test('the responses to clients', () => {
    expect(answers.size).toBe(REQUESTS.length);
    expectNoLeak([...answers.values()].join('\n'), 'an answer');
  });

  test('the log, at its most verbose', async () => {
    await on.proxy.stop();
    expect(on.proxy.logs().length).toBeGreaterThan(REQUESTS.length);
    expectNoLeak(on.proxy.output(), 'the log');
  });
});

describe('the errors of the commands', () => {
  const directory = ownDirectory();
  const [secret, short, body, config] = ['secret', 'short', 'body', 'config.yaml'].map((name) => join(directory, name));
  beforeAll(async () => {
    await writeFile(`${secret}`, SECRETS.current);
    await writeFile(`${short}`, MARK);
    await writeFile(`${body}`, BODY);
    await writeFile(`${config}`, `secrets: [{ id: a, file: ${short} }]\n`);
  });
  const env = { UPSTREAM_URL: 'http://127.0.0.1:1', WEBHOOK_ENDPOINT_SECRET_KEY: ` ${SECRETS.current}\n` };

  test.each([
    ['check-config of secrets in the environment', 0, ['check-config']],
    ['check-config of a secret that is too short', 2, ['check-config', '--config', config]],
    ['sign with one that is too short', 0, ['sign', '--secret-file', short]],
    ['verify with one that is too short', 1, ['verify', '--signature', 'SHA256:x', '--secret-file', short]],
    ['probe with one that is too short', 1, ['probe', '--url', 'http://127.0.0.1:1/notify', '--secret-file', short]],
    // Neither the secret nor the right signature.
    ['verify', 1, ['verify', '--secret-file', secret, '--signature', sign('x', BODY), body]],
    ['a secret given as an argument', 2, ['sign', '--secret', SECRETS.current]],
  ])('%s', async (_name, wanted, words) => {
    const { code, stdout, stderr } = await callCommand(words.map(String), { env, stdin: BODY });
    expect(code, stderr).toBe(wanted);
    expectNoLeak(stdout + stderr, String(words[0]));
  });

  test.each([PASTED, `f00d${MARK}+f00d/${MARK}==`])('a value in place of a variable’s name, %s', async (value) => {
    const file = join(directory, 'pasted.yaml');
    await writeFile(file, `secrets:\n  - id: mistaken\n    env: ${value}\nroutes: [{ path: /notify }]\n`);
    const said = async (words: string, ...more: readonly string[]) => {
      const { code, stdout, stderr } = await callCommand([...words.split(' '), ...more]);
      expectNoLeak(stdout + stderr, words);
      return { code, text: stdout + stderr };
    };
    const place = expect.stringContaining(`${file}:3:10: secrets[0].env: `);
    expect(await said('check-config', '--config', file)).toEqual({ code: 2, text: place });
    expect(await said('check-config --no-secrets', '--config', file)).toMatchObject({ text: place });
    await said('explain POST /notify', '--config', file);
    await said('verify --signature SHA256:x', '--config', file);
    expect(await said('sign', '--secret-env', value)).toMatchObject({ code: 2 });
  });
});
