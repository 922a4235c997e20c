// Directories of tests, and ways in which people and programs change a file under a running proxy.
import { randomBytes } from 'node:crypto';
import { mkdirSync, realpathSync, rmSync } from 'node:fs';
import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, onTestFinished, type TestContext } from 'vitest';

/** Made at once, and again before all tests of a file or of a `describe`, or before each; removed after them. */
export function ownDirectory(before: typeof beforeAll = beforeAll, after: typeof afterAll = afterAll): string {
  const directory = join(realpathSync(tmpdir()), `entrupy-test-${randomBytes(6).toString('hex')}`);
  const make = () => void mkdirSync(directory, { mode: 0o700, recursive: true });
  make();
  before(make);
  after(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

/** Removed with the test. */
export async function testDirectory(finished: TestContext['onTestFinished'] = onTestFinished): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'entrupy-test-'));
  finished(() => rm(directory, { recursive: true, force: true }));
  return directory;
}

let writes = 0;

/** The way of careful tools: a new file, moved over the old one. */
export async function replaceFile(path: string, content: string): Promise<void> {
  const beside = `${path}.new-${writes++}`;
  await writeFile(beside, content);
  await rename(beside, path);
}
