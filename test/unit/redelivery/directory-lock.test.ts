import { execFileSync } from 'node:child_process';
import { mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { BoundedCalls } from '../../../src/redelivery/bounded-calls.ts';
import { DirectoryLock } from '../../../src/redelivery/stores/directory-lock.ts';

const LOCK_FILE = new URL('../../../src/redelivery/stores/directory-lock.ts', import.meta.url);

/** What another process is told that tries to lock the file. */
function triedElsewhere(path: string): string {
  const code = `import { DirectoryLock } from '${LOCK_FILE}';
    const calls = { run: (job) => job() };
    await new DirectoryLock(${JSON.stringify(path)}, calls).take().then(() => console.log('held'), ({ message }) => console.log(message));`;
  return execFileSync(process.execPath, ['--input-type=module', '-e', code], { encoding: 'utf8' }).trim();
}

test('a file that takes long to be made is not locked before it is closed, which would release the lock', async ({
  onTestFinished,
}) => {
  const directory = await mkdtemp(join(tmpdir(), 'entrupy-lock-'));
  onTestFinished(() => rm(directory, { recursive: true }));
  const path = join(directory, 'lock');
  const late = Promise.withResolvers<void>();
  let isThere = false;
  // The file is there at once, and only the answer comes late.
  const prepare = async () => {
    if (isThere) return;
    isThere = true;
    const file = await open(path, 'wx', 0o600);
    await late.promise;
    await file.close();
  };
  const lock = new DirectoryLock(path, new BoundedCalls('the file system', () => 2), prepare);
  const first = await lock.take().catch(String);
  const second = await lock.take().catch(String);
  late.resolve();
  expect([first, second]).toEqual(Array(2).fill('Error: the file system did not answer within 1000 ms'));
  const held = await lock.take();
  expect(triedElsewhere(path)).toBe('another process uses it');
  held.release();
  expect(triedElsewhere(path)).toBe('held');
});
