// Inputs that keep changing while they are read: each part of them counts as one that cannot be read. And how many
// connections the limit of open files has room for.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parseConfig } from '../../../src/config/load.ts';
import { type Inputs, readInputs, settle } from '../../../src/runtime/inputs.ts';
import { fitMachine, fitOpenFiles } from '../../../src/runtime/machine-limits.ts';
import { buildRuleset } from '../../../src/runtime/ruleset.ts';
import { ownDirectory } from '../../support/machine/files.ts';
import { makeIdentity } from '../../support/tls/x509.ts';

const folder = ownDirectory();
const CHANGES = 'it keeps changing while it is being read';

/** The ruleset before, and after each of eight readings had something else: `change` writes it. */
async function settledWith(name: string, change: (at: (file: string) => string, nth: number) => void) {
  const own = join(folder, name);
  mkdirSync(join(own, 'secrets'), { recursive: true });
  const at = (file: string) => join(own, file);
  const { certificate, key } = makeIdentity({ name: 'a' });
  writeFileSync(at('crt'), certificate);
  writeFileSync(at('key'), key);
  for (const id of ['one', 'two']) writeFileSync(at(`secrets/${id}`), `${id}: a value of the start`);
  writeFileSync(at('alone'), 'alone: a value of the start');
  const tls = `listen: { tls: { certFile: ${at('crt')}, keyFile: ${at('key')} } }`;
  writeFileSync(
    at('c.yaml'),
    `${tls}\nsecrets: [{ directory: ${at('secrets')} }, { id: alone, file: ${at('alone')} }]\n`,
  );
  let nth = 0;
  const read = (last: Inputs | null) => {
    change(at, nth++);
    return readInputs(at('c.yaml'), {}, last);
  };
  const before = await readInputs(at('c.yaml'), {}, null);
  const running = buildRuleset(before, null);
  const next = buildRuleset(await settle(before, await read(before), read), running);
  const told = next.failures.map((failure) => failure.replaceAll(`${own}/`, ''));
  const ids = next.policy.keyring.secrets.map(({ id }) => id);
  const isNew = (id: string) => !ofId(next, id).equals(ofId(running, id));
  return { told, ids, replaced: ids.filter(isNew), keepsTls: next.listenTls === running.listenTls };
}

const ofId = ({ policy }: ReturnType<typeof buildRuleset>, id: string) =>
  policy.keyring.secrets.find((secret) => secret.id === id)?.key ?? expect.fail();

describe.concurrent('what keeps changing', () => {
  test('is a directory: all of its secrets stay, and others count', async () => {
    const found = await settledWith('directory', (at, nth) => {
      writeFileSync(at('secrets/one'), `one: its value number ${nth}`);
      writeFileSync(at('alone'), 'alone: another value');
    });
    const told = ['one', 'two'].map(
      (id) => `secret ${id} (directory secrets): ${CHANGES}; the last good value is still in use`,
    );
    expect(found).toEqual({
      told,
      ids: ['one', 'two', 'alone'],
      replaced: ['alone'],
      keepsTls: true,
    });
  });

  test('is a certificate: the old one stays, and secrets count', async () => {
    const found = await settledWith('certificate', (at, nth) => {
      writeFileSync(at('crt'), `the first bytes of number ${nth}`);
      writeFileSync(at('alone'), 'alone: another value');
    });
    expect(found.told).toContain(`listen.tls.certFile crt: ${CHANGES}`);
    expect(found).toMatchObject({ replaced: ['alone'], keepsTls: true });
  });

  test('is the configuration: all stays', async () => {
    const found = await settledWith('configuration', (at, nth) => {
      writeFileSync(
        at('c.yaml'),
        `secrets: [{ id: other, file: ${at('alone')} }]\nlimits: { connections: ${100 + nth} }\n`,
      );
      writeFileSync(at('alone'), 'alone: another value');
    });
    expect(found).toMatchObject({ ids: ['one', 'two', 'alone'], replaced: [], keepsTls: true });
    expect(found.told[0]).toBe(`c.yaml: ${CHANGES}`);
  });
});

const REDELIVERS = 'routes: [{ path: /w, redeliver: 1h }]\n';

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
    ['ten fewer beside a store of deferred deliveries in a directory', REDELIVERS, 1408, [1014, true]],
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
