// Runs the README's commands as they are written. Only ports are replaced, since 8080 may be in use. Commands that need
// a container engine or a cluster run in test/e2e.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempDisposable, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { sign } from '../support/deliveries/signer.ts';
import { blockThat } from '../support/docs/blocks.ts';
import { atTheEnd } from '../support/machine/children.ts';
import { haveTools, ROOT, read, run } from '../support/machine/tools.ts';
import { PROGRAM } from '../support/proxy/program.ts';
import { eventually } from '../support/proxy/proxied.ts';
import { startUpstream, type Upstream } from '../support/upstream/upstream.ts';

const block = (start: string, page = 'README.md') => blockThat(page, new RegExp(`^${RegExp.escape(start)}`)).trim();

/** What is installed as `entrupy-signature-proxy`. */
const COMMAND = `"${process.execPath}" ${PROGRAM}`;

const ONCE = 'npm run demo -- --once';
const APP_ALONE = 'npm run demo -- --upstream-only --port 3000';

type Shell = ReturnType<typeof shell>;

/** A shell in its own process group; `stop` sends SIGINT, as Ctrl-C would. */
function shell(script: string, env: Readonly<Record<string, string>> = {}) {
  const child = spawn('bash', ['-c', script], { cwd: ROOT, env: { ...process.env, ...env }, detached: true });
  const killed = atTheEnd('kill', '-KILL', `-${child.pid}`);
  // Apart, as a line of the one may come within a line of the other.
  const said = { stdout: '', stderr: '' };
  for (const stream of ['stdout', 'stderr'] as const)
    child[stream].on('data', (chunk: Buffer) => {
      said[stream] += chunk.toString();
    });
  const text = () => said.stdout + said.stderr;
  const exited = once(child, 'close').then(async ([code]) => {
    await killed();
    return code as number | null;
  });
  return {
    output: text,
    exited,
    async waitFor(pattern: RegExp) {
      const ended = exited.then(() => Promise.reject(new Error(`ended before ${pattern}:\n${text()}`)));
      await Promise.race([eventually(() => pattern.test(text()), true), ended]);
      return pattern.exec(text()) as RegExpExecArray;
    },
    stop() {
      if (child.pid !== undefined && child.exitCode === null) process.kill(-child.pid, 'SIGINT');
      return exited;
    },
  };
}

async function output(script: string, env: Readonly<Record<string, string>> = {}) {
  const { stdout, stderr, code } = await run('bash', ['-c', script], { env });
  return { text: stdout + stderr, code };
}

test('npm run demo -- --once ends by itself', async () => {
  const { text, code } = await output(ONCE);
  expect(text).toContain('Every step went as expected.');
  expect(text).not.toContain('The demo keeps running');
  expect(code).toBe(0);
});

test('the demo app alone stands in for an app', async ({ onTestFinished }) => {
  const app = shell(APP_ALONE.replace('3000', '0'));
  onTestFinished(async () => void (await app.stop()));
  const [, port = ''] = await app.waitFor(/upstream on port (\d+)/);
  const { status } = await fetch(`http://127.0.0.1:${port}/notify`, { method: 'POST', body: '{}' });
  expect(status).toBe(200);
});

describe('npm run demo', () => {
  let demo: Shell;
  let commands: string;
  beforeAll(async () => {
    demo = shell(block('npm ci && npm run demo').replace('npm ci && ', ''));
    [, commands = ''] = await demo.waitFor(/The demo keeps running; .*\n\n([\s\S]*\/api\/status[^\n]*\n)/);
  });
  afterAll(() => demo?.stop());

  test('tells its story, with five commands to try', () => {
    expect(demo.output()).toContain('Every step went as expected.');
    expect(commands.match(/^ *curl /gm)).toHaveLength(5);
  });

  test.skipIf(!haveTools('curl'))('prints curl commands that work when pasted', async () => {
    const { text } = await output(commands);
    const statuses = [...text.matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, status]) => status);
    expect(statuses).toEqual(['200', '401', '401']);
    expect(text).toContain('entrupy_proxy_requests_total{');
    expect(text).toContain('"ready":true');
  });
});

describe('in front of your own app', () => {
  let upstream: Upstream;
  let proxy: Shell;
  let port: string;
  let adminPort: string;
  beforeAll(async () => {
    upstream = await startUpstream();
    const script = block('export WEBHOOK_ENDPOINT_SECRET_KEY').replace('http://127.0.0.1:3000', upstream.url);
    proxy = shell(script, { LISTEN_PORT: '0', ADMIN_PORT: '0' });
    [, port = '', adminPort = ''] = await proxy.waitFor(/"msg":"listening".*?"port":(\d+).*?"admin_port":(\d+)/);
  });
  afterAll(async () => {
    await proxy?.stop();
    await upstream?.close();
  });

  const byHand = block('BODY=');
  const [, secret = ''] = block('export WEBHOOK_ENDPOINT_SECRET_KEY').match(/KEY='([^']+)'/) ?? [];
  const [assignment = '', body = ''] = byHand.match(/^BODY='(.*)'$/m) ?? [];
  const signature = sign(secret, body);
  const env = { WEBHOOK_ENDPOINT_SECRET_KEY: secret };

  test.skipIf(!haveTools('openssl', 'curl'))('the signed request gets 200, the forged one 401', async () => {
    const forged = block('# another body with the same signature');
    const script = `${byHand}\necho; echo "by hand: SHA256:$HMAC"\n${forged}`.replaceAll(':8080', `:${port}`);
    const before = upstream.requests.length;
    const { text, code } = await output(script, env);
    expect([...text.matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, status]) => status)).toEqual(['200', '401']);
    expect(text.split('\n')).toContain(`by hand: ${signature}`);
    expect(text).toContain('{"error":"unauthorized"}');
    expect(upstream.requests.length - before, 'the app saw the signed one alone').toBe(1);
    expect(code).toBe(0);
  });

  test('check finds nothing wrong, and both probes are content', async () => {
    const commands = block('npm run -s proxy -- check\n');
    const { text, code } = await output(commands, { ...env, LISTEN_PORT: port, ADMIN_PORT: adminPort });
    expect(text).toMatch(/^0 failed/m);
    expect(text).toMatch(/^ok: expected 2xx, got 200 .*\nok: expected 401, got 401 /m);
    expect(code).toBe(0);
  });

  test('the probes of docs/entrupy.md are content', async () => {
    await using directory = await mkdtempDisposable(join(tmpdir(), 'entrupy-readme-'));
    const file = join(directory.path, 'secret');
    await writeFile(file, `${secret}\n`);
    const commands = block('entrupy-signature-proxy probe', 'docs/entrupy.md')
      .replaceAll('https://hooks.example.com', `http://127.0.0.1:${port}`)
      .replaceAll('entrupy-signature-proxy', COMMAND)
      .replaceAll('--secret-file secret', `--secret-file ${file}`);
    const before = upstream.requests.length;
    const { text, code } = await output(`set -e\n${commands}`);
    expect({ text, code }).toMatchObject({ code: 0 });
    expect(upstream.requests.length - before).toBe(1);
  });

  test('sign gives the header of the request signed by hand, and verify says valid', async () => {
    const commands = block('printf %s "$BODY" | entrupy-signature-proxy sign', 'docs/troubleshooting.md');
    const script = [
      assignment,
      `SIGNATURE=${signature.replace('SHA256:', '')}`,
      commands.replaceAll('entrupy-signature-proxy', COMMAND),
    ].join('\n');
    const { text, code } = await output(script, env);
    expect(text).toMatch(/^valid$/m);
    expect(text.split('\n')).toContain(`Entrupy-Signature: ${signature}`);
    expect(code).toBe(0);
  });
});

test('check-config and explain accept the README’s configuration, and explain verifies //notify', async () => {
  const [, yaml = ''] = /```yaml\n([\s\S]*?)```/.exec(read('README.md')) ?? [];
  await using directory = await mkdtempDisposable(join(tmpdir(), 'entrupy-readme-'));
  const file = join(directory.path, 'config.yaml');
  await writeFile(file, yaml);
  const commands = block('npm run -s proxy -- check-config').replaceAll('config.yaml', file);
  const { text, code } = await output(`set -e\n${commands}`);
  expect(code, text).toBe(0);
  expect(text).toContain('The configuration is valid');
  expect(text).toMatch(/=> verified by \/notify/);
});
