// The log's output fails, or nobody reads it: the proxy serves on, counts the lines that are lost, and says so once
// lines go through again. Any client can cause lines, so any of this would otherwise be in a stranger's hands.
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, constants, openSync, readSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { describe, expect, onTestFinished } from 'vitest';
import { deliver } from '../support/deliveries/deliver.ts';
import { post } from '../support/load/load.ts';
import { spawnTied } from '../support/machine/children.ts';
import { listening } from '../support/machine/listening.ts';
import { onTerminal } from '../support/machine/terminal.ts';
import { haveTools } from '../support/machine/tools.ts';
import { commandLine, droppedAt, startWith, type Unwatched } from '../support/proxy/own-stdout.ts';
import { PROGRAM } from '../support/proxy/program.ts';
import { eventually, test, untilReady, value } from '../support/proxy/proxied.ts';

/** What the kernel's pipe holds, and what the proxy lets wait. */
const PIPE = 64 * 1024;
const WAITING = 64 * 1024;

/** A client's doing: a refused request, which is a line. */
const refused = async ({ url }: { readonly url: string }) => (await post({ url, body: '{}' })).status;

const CALLS = 800;

/** Two lines each, and no limit on their number: together twice what a pipe and the proxy hold. */
async function flood({ adminUrl }: { readonly adminUrl: string }): Promise<void> {
  for (let done = 0; done < CALLS; done += 20) {
    await Promise.all(Array.from({ length: 20 }, () => fetch(`${adminUrl}/-/drain`)));
  }
}

async function stopsWell(proxy: Unwatched): Promise<void> {
  proxy.signal('SIGTERM');
  expect(await proxy.exited).toEqual([0, null]);
}

/** A pipe with a name: its reader may leave, and another may come. */
function namedPipe(directory: string) {
  const path = join(directory, 'pipe');
  execFileSync('mkfifo', [path]);
  const openReader = () => openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  const reader = openReader();
  return { reader, openReader, writer: openSync(path, constants.O_WRONLY) };
}

function readable(fd: number): string {
  const buffer = Buffer.alloc(1024 * 1024);
  let length = 0;
  try {
    for (let got = -1; got !== 0; length += got) got = readSync(fd, buffer, length, buffer.length - length, null);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
  }
  return buffer.toString('utf8', 0, length);
}

const parsed = (text: string) =>
  text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Readonly<Record<string, unknown>>);

describe('a full disk', () => {
  test('costs the lines, not the proxy', async ({ directory, upstream }) => {
    const full = openSync('/dev/full', 'w');
    const proxy = await startWith(await commandLine(directory, upstream.url), full);
    closeSync(full);
    const before = await proxy.dropped();
    expect(before).toBeGreaterThan(0);
    expect([await refused(proxy), await deliver(proxy, 'a')]).toEqual([401, 200]);
    await eventually(proxy.dropped, before + 1);
    await stopsWell(proxy);
  });

  test.for([
    ['a mistake that stderr does not take', ['sign', '--nonsense'], 'stderr', 2, ''],
    ['a signature that stdout does not take', ['sign'], 'stdout', 1, 'cannot write to standard output: ENOSPC\n'],
  ] as const)('keeps the exit code of %s', async ([, args, where, code, ending]) => {
    const full = openSync('/dev/full', 'w');
    const child = spawnTied(process.execPath, [PROGRAM, ...args], {
      env: { PATH: process.env.PATH ?? '', WEBHOOK_ENDPOINT_SECRET_KEY: value('a') },
      stdio: ['ignore', where === 'stdout' ? full : 'ignore', where === 'stderr' ? full : 'pipe'],
    });
    closeSync(full);
    const [pieces, exit] = await Promise.all([child.stderr?.toArray() ?? [], once(child, 'exit')]);
    expect(exit).toEqual([code, null]);
    expect(pieces.join('').endsWith(ending)).toBe(true);
  });
});

test('a pipe that nobody reads any more costs the lines, not the proxy', async ({ directory, upstream }) => {
  const { reader, openReader, writer } = namedPipe(directory);
  const proxy = await startWith(await commandLine(directory, upstream.url), writer);
  closeSync(writer);
  expect(readable(reader)).toContain('listening');
  closeSync(reader);
  expect([await refused(proxy), await refused(proxy)]).toEqual([401, 401]);
  await eventually(proxy.dropped, 2);

  // It takes lines again when another reader comes, who learns the loss.
  const next = openReader();
  expect(await refused(proxy)).toBe(401);
  let text = '';
  await eventually(() => {
    text += readable(next);
    return parsed(text).map(({ msg, dropped }) => [msg, dropped]);
  }, [
    ['request', undefined],
    ['log lines were dropped', 2],
  ]);

  // It holds 128 KiB of lines that nobody reads.
  await flood(proxy);
  expect(await refused(proxy)).toBe(401);
  text = '';
  await eventually(() => {
    text += readable(next);
    return text.includes('log lines were dropped');
  }, true);
  const lines = parsed(text);
  const dropped = (await proxy.dropped()) - 2;
  expect(dropped).toBeGreaterThan(100);
  expect(lines.filter(({ msg }) => msg === 'log lines were dropped')).toEqual([
    { time: expect.any(String), level: 'warn', msg: 'log lines were dropped', dropped },
  ]);
  expect(text.length).toBeLessThan(PIPE + WAITING + 1024);
  // Each call is two lines, and the refused request is one; on a busy machine there are some about that.
  const told = lines.filter(({ msg }) => /drain/.test(String(msg))).length + dropped - 2 * CALLS - 1;
  expect([told >= 0, told < 10]).toEqual([true, true]);

  // A stop waits for it for a second at most.
  await flood(proxy);
  await stopsWell(proxy);
  closeSync(next);
});

test('a socket that is reset costs the lines, not the proxy', async ({ directory, upstream }) => {
  const collector = createServer();
  const { port, close } = await listening(collector);
  onTestFinished(close);
  const accepted = once(collector, 'connection') as Promise<[Socket]>;
  const output = connect(port, '127.0.0.1');
  const [socket] = await accepted;
  const proxy = await startWith(await commandLine(directory, upstream.url), output);
  output.destroy();
  socket.resetAndDestroy();
  await eventually(async () => [await refused(proxy), (await proxy.dropped()) > 0], [401, true]);
  await stopsWell(proxy);
});

describe.skipIf(!haveTools('python3'))('a terminal', () => {
  test('that nobody reads, and that is gone, costs the lines, not the proxy', async ({ directory, upstream }) => {
    const { words, adminUrl, url } = await commandLine(directory, upstream.url);
    const proxy = await onTerminal(words, { UNREAD: '1' });
    await untilReady(adminUrl);
    await flood({ adminUrl });
    expect(await refused({ url })).toBe(401);
    const unread = await droppedAt(adminUrl);
    expect(unread).toBeGreaterThan(100);
    proxy.hangUp();
    await eventually(async () => [await refused({ url }), (await droppedAt(adminUrl)) > unread], [401, true]);
    proxy.signal('SIGTERM');
    expect(await proxy.exited).toBe(0);
  });
});
