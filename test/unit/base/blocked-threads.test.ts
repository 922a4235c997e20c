// A process that a hanging thread would keep alive for ever ends all the same, also as PID 1 of a container.
import { execFile, execFileSync, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { beforeAll, expect, test } from 'vitest';
import { END_MS } from '../../../src/base/blocked-threads.ts';
import { ownDirectory } from '../../support/machine/files.ts';
import { patience } from '../../support/runner/patience.ts';

const MODULE = new URL('../../../src/base/blocked-threads.ts', import.meta.url).href;
/** A process namespace of its own, in which the program is PID 1. */
const NAMESPACE = ['unshare', '--pid', '--fork', '--kill-child', '--'] as const;
const mayUnshare = spawnSync(NAMESPACE[0], [...NAMESPACE.slice(1), 'true']).status === 0;

const directory = ownDirectory();
let pipe = '';
beforeAll(() => {
  pipe = join(directory, 'pipe');
  execFileSync('mkfifo', [pipe]);
});

/** Calls that wait for the other end of a pipe, which nobody opens. */
const BLOCKED = {
  'a thread of its own': `
    const { Worker } = await import('node:worker_threads');
    new Worker('require("node:fs").openSync(' + JSON.stringify(pipe) + ', "r")', { eval: true, execArgv: [] });
    threads.set('its work', () => new Promise(() => {}));`,
  'a thread of the pool': `(await import('node:fs')).open(pipe, 'r', () => {});`,
  'nothing, though a thread works longer than a look': `
    const { Worker } = await import('node:worker_threads');
    const work = 'require("node:worker_threads").parentPort.once("message", () => {}); for (const end = Date.now() + 1800; Date.now() < end;);';
    const thread = new Worker(work, { eval: true, execArgv: [] });
    const done = new Promise((resolve) => thread.once('online', () => thread.postMessage('') ?? thread.once('exit', resolve)));
    threads.set('its work', () => done);`,
  nothing: `threads.set('its work', async () => {});`,
  'nothing, though the process stands still': `
    (await import('node:fs')).stat(pipe, () => {});
    process.nextTick(() => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 600));`,
} as const;

test('what a stop waits for after `grace` is less than the two seconds that are promised, whatever hangs', () => {
  const { close, look, exit } = END_MS;
  expect(close + look + exit + look).toBeLessThan(2000);
});

type Ended = { readonly code?: number; readonly signal?: string; readonly stdout: string };

async function ended(blocked: keyof typeof BLOCKED, before: readonly string[] = []) {
  const program = `
    import { blockedThreads, killSelf, threads } from ${JSON.stringify(MODULE)};
    const pipe = ${JSON.stringify(pipe)};
    ${BLOCKED[blocked]}
    const found = await blockedThreads(1500);
    process.stdout.write(JSON.stringify(found));
    setTimeout(() => found.length > 0 ? killSelf() : process.exit(0), 50);`;
  const [command = '', ...words] = [...before, process.execPath, '--input-type=module', '--eval', program];
  const run: Promise<Ended> = promisify(execFile)(command, words, { timeout: patience() });
  const { code = 0, signal = null, stdout } = await run.catch((error: Ended) => error);
  return { code, signal, found: stdout };
}

test.concurrent.each([
  ['a thread of its own', 'its work'],
  ['a thread of the pool', 'files'],
] as const)('%s that hangs is named, and does not outlast the process', async (blocked, name) => {
  expect(await ended(blocked)).toEqual({ code: null, signal: 'SIGKILL', found: JSON.stringify([name]) });
});

test.concurrent.each([
  'nothing',
  'nothing, though the process stands still',
  ...(process.platform === 'linux' ? (['nothing, though a thread works longer than a look'] as const) : []),
] as const)('%s is named where all answer', async (what) => {
  expect(await ended(what)).toEqual({ code: 0, signal: null, found: '[]' });
});

test.runIf(mayUnshare).concurrent('PID 1, whose own SIGKILL the kernel ignores, exits with 137', async () => {
  const both = (['a thread of its own', 'a thread of the pool'] as const).map((blocked) => ended(blocked, NAMESPACE));
  for (const one of await Promise.all(both)) expect(one).toMatchObject({ code: 137, signal: null });
});
