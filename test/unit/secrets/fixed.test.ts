// Which sources are said to be unable to change.
import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { fixedFiles, fixedVariables, mountPoints, parseMountInfo } from '../../../src/secrets/sources.ts';

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

test('mount points are the fifth field, with the octal escapes undone', () => {
  expect([...parseMountInfo(MOUNTINFO)]).toEqual([
    '/',
    '/etc/entrupy/secrets',
    '/run/secrets/entrupy',
    '/run/with space\\and\ttab',
  ]);
  expect([...parseMountInfo('')]).toEqual([]);
});

test('a file that is a mount of its own is named; one in a mounted directory is not', async () => {
  const mounts = parseMountInfo(MOUNTINFO);
  const found = await fixedFiles(['/run/secrets/entrupy', '/etc/entrupy/secrets/current'], mounts);
  expect(found).toEqual([expect.stringMatching(/^\/run\/secrets\/entrupy is mounted by itself \(subPath/)]);
});

test('a link to the directory on the way does not hide it', async () => {
  mkdirSync(join(dir, 'run'));
  writeFileSync(join(dir, 'run/key'), 'x');
  symlinkSync(join(dir, 'run'), join(dir, 'var-run'));
  expect(await fixedFiles([join(dir, 'var-run/key')], new Set([join(dir, 'run/key')]))).toHaveLength(1);
});

test('each variable is named', () => {
  const validity = { overlap: null, notBefore: null, notAfter: null, allowShort: false };
  const found = fixedVariables([
    { kind: 'env', id: 'old', env: 'OLD_SECRET', ...validity },
    { kind: 'file', id: 'new', file: '/run/new', ...validity },
  ]);
  expect(found).toEqual([expect.stringContaining('secret old: a variable (OLD_SECRET)')]);
});

test.runIf(process.platform === 'linux')('the mounts of this very process hold the root', async () => {
  expect((await mountPoints()).has('/')).toBe(true);
});
