// The secret sources that can never change while the process runs.
import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { VariableName } from '../../../src/config/environment.ts';
import { fixedFiles, fixedVariables } from '../../../src/secrets/sources.ts';

const MOUNTINFO = `22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
618 610 0:103 / /etc/entrupy/secrets ro,relatime - tmpfs tmpfs rw,size=64Mi
619 610 8:1 /var/lib/kubelet/pods/1/volume-subpaths/keys/app/0 /run/secrets/entrupy ro - ext4 /dev/sda1 rw
620 610 8:1 /x /run/with\\040space\\134and\\011tab rw - ext4 /dev/sda1 rw
`;

let dir: string;
beforeEach(() => {
  dir = realpathSync(mkdtempSync(join(tmpdir(), 'fixed-')));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

function mountInfo(text: string): string {
  const file = join(dir, 'mountinfo');
  writeFileSync(file, text);
  return file;
}

test('a file that is its own mount is named; one in a mounted directory is not', async () => {
  const files = ['/run/secrets/entrupy', '/etc/entrupy/secrets/current'];
  const found = await fixedFiles(files, mountInfo(MOUNTINFO));
  expect(found).toEqual([expect.stringMatching(/^\/run\/secrets\/entrupy is mounted by itself \(subPath/)]);
});

test('octal escapes in a mount point are decoded', async () => {
  expect(await fixedFiles(['/run/with space\\and\ttab'], mountInfo(MOUNTINFO))).toHaveLength(1);
});

test('a link to its directory does not hide it', async () => {
  mkdirSync(join(dir, 'run'));
  writeFileSync(join(dir, 'run/key'), 'x');
  symlinkSync(join(dir, 'run'), join(dir, 'var-run'));
  const mounts = mountInfo(`620 610 8:1 /x ${join(dir, 'run/key')} rw - ext4 /dev/sda1 rw\n`);
  expect(await fixedFiles([join(dir, 'var-run/key')], mounts)).toHaveLength(1);
});

test('a system without a list of mounts has none', async () => {
  expect(await fixedFiles(['/'], join(dir, 'missing'))).toEqual([]);
});

test('each variable is named', () => {
  const validity = { overlap: null, notBefore: null, notAfter: null, allowShort: false };
  const found = fixedVariables([
    { kind: 'env', id: 'old', env: new VariableName('OLD_SECRET'), ...validity },
    { kind: 'file', id: 'new', file: '/run/new', ...validity },
  ]);
  expect(found).toEqual([expect.stringContaining("secret old: a variable can't change")]);
});

test.runIf(process.platform === 'linux')('the mounts of this process include the root', async () => {
  expect(await fixedFiles(['/'])).toHaveLength(1);
});
