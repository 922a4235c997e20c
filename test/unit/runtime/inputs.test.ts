// Inputs that keep changing while they are read count for nothing, and are told. And how many connections the limit of open
// files has room for.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parseConfig } from '../../../src/config/load.ts';
import { type Inputs, readInputs, settle } from '../../../src/runtime/inputs.ts';
import { fitMachine, fitOpenFiles } from '../../../src/runtime/machine-limits.ts';
import { ownDirectory } from '../../support/machine/files.ts';
import { makeIdentity } from '../../support/tls/x509.ts';

const folder = ownDirectory();

test.concurrent.each<[what: string, told: string, change: (at: (file: string) => string, nth: number) => void]>([
  [
    'a directory of secrets',
    'directory secrets',
    (at, nth) => writeFileSync(at('secrets/one'), `one: its value number ${nth}`),
  ],
  [
    'a certificate',
    'listen.tls.certFile crt',
    (at, nth) => writeFileSync(at('crt'), `the first bytes of number ${nth}`),
  ],
  ['the configuration', 'c.yaml', (at, nth) => writeFileSync(at('c.yaml'), `limits: { connections: ${100 + nth} }\n`)],
])('while %s keeps changing, nothing that was read counts', async (what, told, change) => {
  const own = join(folder, what);
  mkdirSync(join(own, 'secrets'), { recursive: true });
  const at = (file: string) => join(own, file);
  const { certificate, key } = makeIdentity({ name: 'a' });
  writeFileSync(at('crt'), certificate);
  writeFileSync(at('key'), key);
  writeFileSync(at('secrets/one'), 'one: a value of the start');
  const tls = `listen: { tls: { certFile: ${at('crt')}, keyFile: ${at('key')} } }`;
  writeFileSync(at('c.yaml'), `${tls}\nsecrets: [{ directory: ${at('secrets')} }]\n`);
  let nth = 0;
  const read = (last: Inputs | null) => {
    change(at, nth++);
    return readInputs(at('c.yaml'), {}, last);
  };
  const settled = settle(await read(await readInputs(at('c.yaml'), {}, null)), read);
  await expect(settled.catch(({ message }: Error) => message.replaceAll(`${own}/`, ''))).resolves.toBe(
    `${told}: it keeps changing while it is being read`,
  );
});

describe('of the files that a process may open, connections get', () => {
  const fits = (yaml: string, files: number) => {
    const loaded = parseConfig({ file: 'config.yaml', bytes: Buffer.from(yaml) }, {});
    const { config, warnings } = fitOpenFiles(loaded, files);
    return [config.limits.connections, warnings.some(({ key }) => key === 'limits.connections')];
  };

  test.each([
    ['all that they may be, where there is no limit', '', Number.POSITIVE_INFINITY, [1024, false]],
    ['all that they may be, where it is high enough', '', 1408, [1024, false]],
    ['what upstream sockets and the rest leave', '', 1407, [1023, true]],
    ['a half, where there are few', '', 64, [32, true]],
  ] as const)('%s', (_, yaml, files, expected) => {
    expect(fits(yaml, files)).toEqual(expected);
  });
});

test.each<[string, string, readonly string[]]>([
  ['by default', '', []],
  ['of up to half of seven eighths', 'limits: { maxBody: 7MiB, bufferedBytes: 16MiB }', []],
  [
    'of more than seven eighths, by a route of its own and by all',
    'limits: { maxBody: 9MiB, bufferedBytes: 16MiB }\nroutes: [{ path: /a }, { path: /b, maxBody: 15MiB }]',
    [
      'limits.maxBody: limits.bufferedBytes, 16MiB, is sure to hold one in chunks only up to 7340032 bytes: larger ones get 503',
      'routes[1].maxBody: limits.bufferedBytes, 16MiB, holds no body of more than 14680064 bytes, and is sure to hold one in chunks only up to 7340032 bytes: larger ones get 503',
    ],
  ],
])('bodies that never fit into the byte budget are told: %s', (_what, yaml, expected) => {
  const loaded = parseConfig({ file: 'config.yaml', bytes: Buffer.from(yaml) }, {});
  const told = fitMachine(loaded).warnings.filter(({ key }) => key.endsWith('maxBody'));
  expect(told.map(({ key, message }) => `${key}: ${message.replace(/, however.*/, '')}`)).toEqual(expected);
});
