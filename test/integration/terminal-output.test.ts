// What people see who start the proxy by hand: lines for people on a terminal, in colour, and JSON everywhere else.
import { appendFile } from 'node:fs/promises';
import { describe, expect } from 'vitest';
import { post } from '../support/load/load.ts';
import { onTerminal } from '../support/machine/terminal.ts';
import { haveTools } from '../support/machine/tools.ts';
import { runCommand } from '../support/proxy/command.ts';
import { commandLine, ready } from '../support/proxy/own-stdout.ts';
import { PROGRAM } from '../support/proxy/program.ts';
import { eventually, test, value } from '../support/proxy/proxied.ts';

const ESCAPE = '\u001b[';
const TIME = String.raw`\d{4}-\d\d-\d\d \d\d:\d\d:\d\d`;

describe.skipIf(!haveTools('python3'))('on a terminal', () => {
  const started = async (directory: string, upstream: string, { env = {}, log = '' } = {}) => {
    const line = await commandLine(directory, upstream);
    if (log !== '') await appendFile(line.words[4], `log: { format: ${log} }\n`);
    const proxy = await onTerminal(line.words, env);
    await ready(line.adminUrl);
    await eventually(() => proxy.text().includes('listening'), true);
    return { ...line, ...proxy };
  };

  test('the log is lines for people, in colour', async ({ directory, upstream }) => {
    const proxy = await started(directory, upstream.url);
    await post({ url: `${proxy.url}/notify`, body: '{}' });
    await eventually(() => proxy.text().includes('missing_signature'), true);
    expect(proxy.text()).toContain(ESCAPE);
    expect(proxy.text()).not.toContain('"msg"');
    proxy.signal('SIGTERM');
    expect(await proxy.exited).toBe(0);
  });

  test('NO_COLOR leaves the lines and takes the colour', async ({ directory, upstream }) => {
    const proxy = await started(directory, upstream.url, { env: { NO_COLOR: '1' } });
    await post({ url: `${proxy.url}/notify?secret=1`, body: '{}' });
    await eventually(() => proxy.text().includes('missing_signature'), true);
    const lines = proxy.text().split('\n');
    expect(lines[0]).toMatch(
      new RegExp(`^${TIME} info {2}listening {2}host=127.0.0.1 port=\\d+ .*upstream=${upstream.url} admin_url=http`),
    );
    expect(lines[1]).toMatch(
      new RegExp(
        `^${TIME} warn {2}401 POST /notify: rejected, missing_signature {2}route=unmatched diagnosis=no-signature body_bytes=`,
      ),
    );
    expect(proxy.text()).not.toContain(ESCAPE);
  });

  test('log.format: json stays JSON', async ({ directory, upstream }) => {
    const proxy = await started(directory, upstream.url, { log: 'json' });
    expect(JSON.parse(proxy.text().split('\n')[0] ?? '')).toMatchObject({ msg: 'listening' });
  });
});

describe.skipIf(!haveTools('python3')).each([
  [['check-config'], 'The configuration is valid', 0],
  [['explain', 'POST', '/notify'], '=> verified by unmatched', 0],
  [['verify', '--signature', 'x', '/dev/null'], 'invalid', 1],
  [['check'], 'failed', 1],
] as const)('what %j prints', ([command, ...args], words, code) => {
  const env = { WEBHOOK_ENDPOINT_SECRET_KEY: value('a'), ADMIN_PORT: '1' };

  test('has colour on a terminal alone, and not with NO_COLOR', async () => {
    const line = [process.execPath, PROGRAM, command, ...args];
    const [coloured, plain] = await Promise.all([onTerminal(line, env), onTerminal(line, { ...env, NO_COLOR: '1' })]);
    expect([await coloured.exited, await plain.exited]).toEqual([code, code]);
    expect(coloured.text()).toContain(`m${words}`);
    expect(plain.text()).toContain(words);
    expect(plain.text()).not.toContain(ESCAPE);
    const { stdout } = await runCommand([command, ...args], { env });
    expect(stdout).not.toContain(ESCAPE);
  });
});

test('in a pipe the log is JSON, or with log.format: text lines without colour', async ({ start }) => {
  const json = await start();
  expect(json.logs()[0]).toMatchObject({ msg: 'listening', upstream: expect.any(String) });
  const text = await start();
  await appendFile(text.configFile, 'log: { format: text }\n');
  await eventually(() => / info {2}reloaded {2}config_sha256=/.test(text.output()), true);
  expect(text.output()).not.toContain(ESCAPE);
});

test('an upstream that accepts no connections at the start is named, once', async ({ start, upstream }) => {
  await upstream.close();
  const proxy = await start();
  const line = await proxy.waitForLog(({ msg }) => msg === 'the upstream accepts no connections');
  expect(line).toMatchObject({ level: 'warn', upstream: upstream.url, upstream_error: expect.any(String) });
});
