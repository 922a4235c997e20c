// Directories of tests, and ways in which people and programs change a file under a running proxy.
import { mkdtempSync, rmSync } from 'node:fs';
import { rename, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';

/** Made for all tests of a file or of a `describe`, and removed after them. */
export function ownDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'entrupy-test-'));
  afterAll(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

let writes = 0;

/** The way of careful tools: a new file, moved over the old one. */
export async function replaceFile(path: string, content: string): Promise<void> {
  const beside = `${path}.new-${writes++}`;
  await writeFile(beside, content);
  await rename(beside, path);
}
