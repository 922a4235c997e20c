// Secrets from files, directories and the environment, on a real disk. And files that are mounted by themselves, whose
// replacement the process cannot see.
import { execFileSync } from 'node:child_process';
import { createSecretKey } from 'node:crypto';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { SecretSource } from '../../../src/config/config.ts';
import { VariableName } from '../../../src/config/variables.ts';
import { readSecrets } from '../../../src/secrets/rotation.ts';
import { fixedFiles, readSource, type SecretMaterial } from '../../../src/secrets/sources.ts';
import { ownDirectory } from '../../support/machine/files.ts';

const VALIDITY = { overlap: null, notBefore: null, notAfter: null, allowShort: false };
const value = (name: string) => `value-of-${name}-0123456789-0123456789`;

const dir = ownDirectory(beforeEach, afterEach);

function write(name: string, content: string | Buffer): string {
  const path = join(dir, name);
  writeFileSync(path, content);
  return path;
}

const file = (id: string, path: string): SecretSource => ({ kind: 'file', id, file: path, ...VALIDITY });
const directory = (path: string): SecretSource => ({ kind: 'directory', directory: path, ...VALIDITY });
const variable = (id: string, name: string): SecretSource => {
  return { kind: 'env', id, env: new VariableName(name), ...VALIDITY };
};

function holds(secret: SecretMaterial | undefined, text: string): boolean {
  return secret?.key?.equals(createSecretKey(Buffer.from(text))) === true;
}

async function only(source: SecretSource, env = {}): Promise<SecretMaterial> {
  const [secret, ...more] = await readSecrets([source], env);
  expect(more).toEqual([]);
  if (secret === undefined) throw new Error('nothing was read');
  return secret;
}

const ids = (secrets: readonly SecretMaterial[]) => secrets.map(({ id }) => id);

describe('a file', () => {
  test('gives its content, with its settings from the configuration', async () => {
    const path = write('key', `${value('a')}\n`);
    const secret = await only({ ...file('current', path), overlap: 5, notBefore: 1, notAfter: 2 });
    expect(holds(secret, value('a'))).toBe(true);
    expect(secret).toMatchObject({ id: 'current', source: `file ${path}`, problem: null, warnings: [] });
    expect(secret).toMatchObject({ overlap: 5, notBefore: 1, notAfter: 2 });
  });

  test.each<[what: string, make: (path: string) => void, problem: string]>([
    ['missing', () => {}, 'it does not exist'],
    ['a directory', (path) => mkdirSync(path), 'it is a directory, not a file'],
    ['a loop of links', (path) => symlinkSync(path, path), 'its links form a loop'],
    ['a pipe', (path) => execFileSync('mkfifo', [path]), 'it is not a regular file'],
    ['an endless device', (path) => symlinkSync('/dev/zero', path), 'it is not a regular file'],
    [
      'far too large',
      (path) => writeFileSync(path, 'x'.repeat(1e6)),
      expect.stringMatching('^it is larger than 64 KiB'),
    ],
  ])('that is %s has a problem, and never throws or blocks', async (_, make, problem) => {
    const path = join(dir, 'key');
    make(path);
    expect(await only(file('current', path))).toMatchObject({ key: null, problem, warnings: [] });
  });

  test('may hold a secret of 64 KiB, and its line break', async () => {
    const longest = 'x'.repeat(64 * 1024);
    expect(holds(await only(file('current', write('key', `${longest}\r\n`))), longest)).toBe(true);
    const { problem } = await only(file('current', write('key', `${longest}x\n`)));
    expect(problem).toBe('it is larger than 64 KiB: is this the right file?');
  });

  test.runIf(process.geteuid?.() === 0)('that is unreadable names the user', async () => {
    const path = write('key', value('a'));
    execFileSync('chmod', ['0600', path]);
    execFileSync('chmod', ['0755', dir]);
    process.seteuid?.(65532);
    try {
      const { problem } = await only(file('current', path));
      expect(problem).toMatch(/^permission denied: this process runs as user 65532, group \d+$/);
    } finally {
      process.seteuid?.(0);
    }
  });
});

test('a variable gives its value, unstripped', async () => {
  const secret = await only(variable('env', 'HOOK'), { HOOK: `${value('a')}\n` });
  expect(holds(secret, `${value('a')}\n`)).toBe(true);
  expect(secret).toMatchObject({ id: 'env', source: 'env HOOK', problem: null });
});

describe('a directory', () => {
  test('gives every regular file by name, in name order, following links', async () => {
    write('new.2026_key-1', value('new'));
    write('old', value('old'));
    symlinkSync('old', join(dir, 'another'));
    write('.hidden', value('hidden'));
    mkdirSync(join(dir, 'lost+found'));
    const secrets = await readSecrets([directory(dir)], {});
    expect(ids(secrets)).toEqual(['another', 'new.2026_key-1', 'old']);
    expect(holds(secrets[1], value('new'))).toBe(true);
    expect(secrets[2]).toMatchObject({
      source: `directory ${dir}`,
      sameAs: 'another',
      warnings: ['it has the same value as another, under which its matches are counted'],
    });
  });

  test.each([
    ['missing', 'nowhere', 'it does not exist'],
    ['a file', 'file', 'a part of its path is not a directory'],
    ['empty', 'empty', 'it holds no secrets: there is no regular file in it'],
    ['full of directories', 'nested', 'it holds no secrets: there is no regular file in it'],
    ['full of other things', 'crowded', 'it holds more than 256 files: is this the right directory?'],
    ['full of hidden ones', 'hidden', 'it holds more than 256 files: is this the right directory?'],
  ])('that is %s is one entry with a problem', async (_, name, problem) => {
    write('file', 'x');
    for (const folder of ['empty', 'nested/inner', 'crowded', 'hidden'])
      mkdirSync(join(dir, folder), { recursive: true });
    const start = { crowded: '', hidden: '.' }[name];
    for (let i = 0; start !== undefined && i < 257; i += 1) write(`${name}/${start}${i}`, '');
    const id = `directory ${join(dir, name)}`;
    const source = directory(join(dir, name));
    const entry = expect.objectContaining({ kind: 'source', id, source: id, key: null, problem });
    expect(await only(source)).toEqual(entry);
    expect(await readSource(source, {})).toEqual([entry]);
  });

  test('holds 256 secrets beside the hidden names of Kubernetes', async () => {
    for (const name of ['..2026_12_01', '..data']) mkdirSync(join(dir, name));
    for (let i = 0; i < 256; i += 1) write(`k${i}`, value(`${i}`));
    expect(await readSecrets([directory(dir)], {})).toHaveLength(256);
  });

  test('keeps its good secrets despite bad ones', async () => {
    write('bad name~', value('x'));
    write('empty', '');
    write('good', value('good'));
    write('good.previous', value('older'));
    symlinkSync('nowhere', join(dir, 'link'));
    const secrets = await readSecrets([directory(dir)], {});
    expect(secrets.map(({ kind }) => kind)).toEqual(['misnamed', 'secret', 'secret', 'secret', 'secret']);
    expect(secrets.map(({ id, problem }) => [id, problem])).toEqual([
      ['file "bad name~"', 'its name has characters other than A-Z a-z 0-9 . _ -'],
      ['empty', 'it is empty'],
      ['good', null],
      ['good.previous', 'ids that end in .previous are reserved for replaced values'],
      ['link', 'it does not exist'],
    ]);
  });
});

describe('several sources', () => {
  test('keep their order; the later of two equal ids loses its key', async () => {
    write('a', value('a'));
    const path = write('b', value('b'));
    const secrets = await readSecrets([directory(dir), file('a', path), variable('z', 'HOOK')], { HOOK: value('z') });
    expect(ids(secrets)).toEqual(['a', 'b', 'a', 'z']);
    const problem = `its id is already taken by the secret from directory ${dir}`;
    expect(secrets[2]).toMatchObject({ key: null, problem });
    expect(holds(secrets[0], value('a'))).toBe(true);
  });

  test('two broken directories are two entries, each with its own problem', async () => {
    const gone = directory(join(dir, 'gone'));
    const problems = (await readSecrets([gone, gone], {})).map(({ problem }) => problem);
    expect(problems).toEqual(['it does not exist', 'it does not exist']);
  });

  test('no message holds a value, whatever is wrong with it', async () => {
    const values = ['short-SECRET', ' long-SECRET-long-enough ', 'SECRET\n'.repeat(3), '"SECRET-in-quotes-long"'];
    const sources = values.map((_, index) => variable(`s${index}`, `S${index}`));
    const env = Object.fromEntries(values.map((value, index) => [`S${index}`, value]));
    const secrets = await readSecrets(sources, env);
    expect(JSON.stringify(secrets.map(({ key: _, ...rest }) => rest))).not.toContain('SECRET');
    // A key reveals nothing when an object is printed by mistake.
    expect(JSON.stringify(secrets)).not.toContain('SECRET');
  });
});

const MOUNTINFO = `22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
618 610 0:103 / /etc/entrupy/secrets ro,relatime - tmpfs tmpfs rw,size=64Mi
619 610 8:1 /var/lib/kubelet/pods/1/volume-subpaths/keys/app/0 /run/secrets/entrupy ro - ext4 /dev/sda1 rw
620 610 8:1 /x /run/with\\040space\\134and\\011tab rw - ext4 /dev/sda1 rw
`;

test.each([
  ['a file that is its own mount', '/run/secrets/entrupy', 1],
  ['a file in a mounted directory', '/etc/entrupy/secrets/current', 0],
  ['a name that has octal escapes in the list', '/run/with space\\and\ttab', 1],
  ['a file behind a link to its directory', join(dir, 'var-run/key'), 1],
])('%s is named, or not', async (_, file, times) => {
  mkdirSync(join(dir, 'run'));
  symlinkSync('run', join(dir, 'var-run'));
  const key = write('run/key', 'x');
  const mountInfo = write('mountinfo', `${MOUNTINFO}621 610 8:1 /x ${key} rw - ext4 /dev/sda1 rw\n`);
  const named = expect.stringMatching(/ is mounted by itself \(subPath/);
  expect(await fixedFiles([file], mountInfo)).toEqual(Array(times).fill(named));
});

test.runIf(process.platform === 'linux')(
  'the mounts of this process include the root; without a list there are none',
  async () => {
    expect(await fixedFiles(['/'])).toHaveLength(1);
    expect(await fixedFiles(['/'], join(dir, 'missing'))).toEqual([]);
  },
);
