// What people see who start the proxy by hand: lines for people on a terminal, in colour, and JSON everywhere else.
import { appendFile } from 'node:fs/promises';
import { describe, expect } from 'vitest';
import { post } from '../support/load/load.ts';
import { onTerminal } from '../support/machine/terminal.ts';
import { haveTools } from '../support/machine/tools.ts';
import { runCommand } from '../support/proxy/command.ts';
import { commandLine } from '../support/proxy/own-stdout.ts';
import { PROGRAM } from '../support/proxy/program.ts';
import { eventually, test, untilReady, value } from '../support/proxy/proxied.ts';

const ESCAPE = '\u001b[';
const TIME = String.raw`\d{4}-\d\d-\d\d \d\d:\d\d:\d\d`;

const ENV = { WEBHOOK_ENDPOINT_SECRET_KEY: value('a') };

describe.skipIf(!haveTools('python3'))('on a terminal', () => {
  const started = async (directory: string, upstream: string, env = {}) => {
    const line = await commandLine(directory, upstream);
    const proxy = await onTerminal(line.words, env);
    await untilReady(line.adminUrl);
    await eventually(() => proxy.text().includes('listening'), true);
    return { ...line, ...proxy };
  };

  test('the log is lines for people, in colour; with log.format: json it is JSON', async ({ directory, upstream }) => {
    const proxy = await started(directory, upstream.url);
    await post({ url: `${proxy.url}/notify`, body: '{}' });
    await eventually(() => proxy.text().includes('missing_signature'), true);
    expect(proxy.text()).toContain(ESCAPE);
    expect(proxy.text()).not.toContain('"msg"');
    await appendFile(proxy.words[4], 'log: { format: json }\n');
    await eventually(() => proxy.text().includes('"msg":"reloaded"'), true);
    proxy.signal('SIGTERM');
    expect(await proxy.exited).toBe(0);
    expect(JSON.parse(proxy.text().trim().split('\n').at(-1) ?? '')).toMatchObject({ msg: 'stopped' });
  });

  test('NO_COLOR leaves the lines and takes the colour', async ({ directory, upstream }) => {
    const proxy = await started(directory, upstream.url, { NO_COLOR: '1' });
    await post({ url: `${proxy.url}/notify?secret=1`, body: '{}' });
    await eventually(() => proxy.text().includes('missing_signature'), true);
    const lines = proxy.text().split('\n');
    expect(lines[0]).toMatch(
      new RegExp(`^${TIME} info {2}listening {2}host=127.0.0.1 port=\\d+ .*upstream=${upstream.url} admin_url=http`),
    );
    expect(lines[1]).toMatch(
      new RegExp(
        `^${TIME} warn {2}401 POST /notify: rejected, missing_signature {2}route=unmatched diagnosis=no-signature client=127\\.0\\.0\\.1 body_bytes=`,
      ),
    );
    expect(proxy.text()).not.toContain(ESCAPE);
  });

  // The program decides it once, for all commands.
  test('what a command prints has colour, and none with NO_COLOR, nor in a pipe', async () => {
    const words = ['verify', '--signature', 'x', '/dev/null'];
    const onOne = async (env: Readonly<Record<string, string>>) => {
      const { exited, text } = await onTerminal([process.execPath, PROGRAM, ...words], env);
      expect(await exited).toBe(1);
      return text();
    };
    expect(await onOne(ENV)).toContain('minvalid');
    for (const printed of [await onOne({ ...ENV, NO_COLOR: '1' }), (await runCommand(words, { env: ENV })).stdout]) {
      expect(printed).toContain('invalid');
      expect(printed).not.toContain(ESCAPE);
    }
  });
});

test('in a pipe the log is JSON, or with log.format: text lines without colour', async ({ start, upstream }) => {
  await upstream.close();
  const proxy = await start();
  expect(proxy.logs()[0]).toMatchObject({ msg: 'listening', upstream: expect.any(String) });
  // An upstream that accepts no connections at the start is named.
  const line = await proxy.waitForLog(({ msg }) => msg === 'the upstream accepts no connections');
  expect(line).toMatchObject({ level: 'warn', upstream: upstream.url, upstream_error: expect.any(String) });
  await appendFile(proxy.configFile, 'log: { format: text }\n');
  await eventually(() => / info {2}reloaded {2}config_sha256=/.test(proxy.output()), true);
  expect(proxy.output()).not.toContain(ESCAPE);
});
