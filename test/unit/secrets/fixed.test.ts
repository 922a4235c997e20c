// Files that are mounted by themselves, whose replacement the process cannot see.
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { fixedFiles } from '../../../src/secrets/sources.ts';
import { ownDirectory } from '../../support/machine/files.ts';

const MOUNTINFO = `22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
618 610 0:103 / /etc/entrupy/secrets ro,relatime - tmpfs tmpfs rw,size=64Mi
619 610 8:1 /var/lib/kubelet/pods/1/volume-subpaths/keys/app/0 /run/secrets/entrupy ro - ext4 /dev/sda1 rw
620 610 8:1 /x /run/with\\040space\\134and\\011tab rw - ext4 /dev/sda1 rw
`;

const dir = ownDirectory();
const mountInfo = join(dir, 'mountinfo');
beforeAll(() => {
  mkdirSync(join(dir, 'run'));
  writeFileSync(join(dir, 'run/key'), 'x');
  symlinkSync(join(dir, 'run'), join(dir, 'var-run'));
  writeFileSync(mountInfo, `${MOUNTINFO}621 610 8:1 /x ${join(dir, 'run/key')} rw - ext4 /dev/sda1 rw\n`);
});

test.each([
  ['a file that is its own mount', '/run/secrets/entrupy', 1],
  ['a file in a mounted directory', '/etc/entrupy/secrets/current', 0],
  ['a name that has octal escapes in the list', '/run/with space\\and\ttab', 1],
  ['a file behind a link to its directory', join(dir, 'var-run/key'), 1],
])('%s is named, or not', async (_, file, times) => {
  const named = expect.stringMatching(/ is mounted by itself \(subPath/);
  expect(await fixedFiles([file], mountInfo)).toEqual(Array(times).fill(named));
});

test('a system without a list of mounts has none', async () => {
  expect(await fixedFiles(['/'], join(dir, 'missing'))).toEqual([]);
});

test.runIf(process.platform === 'linux')('the mounts of this process include the root', async () => {
  expect(await fixedFiles(['/'])).toHaveLength(1);
});
