// The result of a valid file: defaults, units, names in one case, frozen. And where the file is found.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { ConfigError, loadConfig } from '../../../src/config/load.ts';
import { formatProblem } from '../../../src/config/problems.ts';
import { ownDirectory } from '../../support/machine/files.ts';
import { parseText } from '../../support/proxy/config-text.ts';

const load = (text: string) => parseText(text, 'c.yaml', {}).config;

test('an empty file, an empty mapping and emptied sections are the defaults', () => {
  const defaults = load('');
  const emptied = 'listen:\nsecrets:\nroutes:\nlimits:\nupstream:\n  tls:\n';
  for (const text of ['{}', '# nothing\n', '%YAML 1.1\n---\n', emptied]) expect(load(text)).toEqual(defaults);
});

test('units become milliseconds, bytes and epoch milliseconds', () => {
  const config = load(`
limits: { maxBody: 64KiB, bufferedBytes: 8MiB, headersTimeout: 250ms, maxHeader: 2048 }
upstream: { idleTimeout: 0, keepAlive: '0' }
secrets: [{ id: a, file: /a, overlap: 24h, notBefore: 2026-11-01T00:00:00Z }]
routes: [{ path: /a, mode: report, reportUntil: 2026-12-31T00:00:00+01:00, once: 1h }]
`);
  const sizes = { maxBody: 65_536, bufferedBytes: 8_388_608, maxHeader: 2048 };
  expect(config.limits).toMatchObject({ ...sizes, headersTimeout: 250 });
  expect(config.upstream).toMatchObject({ idleTimeout: 0, keepAlive: 0 });
  expect(config.secrets[0]).toMatchObject({ overlap: 86_400_000, notBefore: Date.UTC(2026, 10, 1), notAfter: null });
  expect(config.routes[0]).toMatchObject({ reportUntil: Date.UTC(2026, 11, 30, 23), once: 3_600_000 });
});

test('routes get their defaults by action; GET implies HEAD; names are in one case', () => {
  const config = load(`
limits: { maxBody: 2MiB }
secrets: [{ directory: /s }]
routes:
  - path: /a
  - { path: /b, methods: [GET, POST, GET], secrets: [from-the-directory], maxBody: 1KiB, allowHeaders: [X-Some] }
  - { path: /c/*, action: forward, upgrade: [websocket], idleTimeout: 0, responseTimeout: 1s }
  - { path: /d, action: reject }
`);
  const none = {
    ...{ reportUntil: null, query: 'forward', once: null, redeliver: null },
    ...{ upgrade: [], allowHeaders: [], responseTimeout: null, idleTimeout: null },
  };
  const base = { action: 'verify', mode: 'enforce', secrets: null, maxBody: 2 * 1024 ** 2, ...none };
  const lists = { methods: ['GET', 'HEAD', 'POST'], secrets: ['from-the-directory'], allowHeaders: ['x-some'] };
  const open = { action: 'forward', methods: null, upgrade: ['websocket'], idleTimeout: 0, responseTimeout: 1000 };
  expect(config.routes).toEqual([
    { ...base, path: '/a', methods: ['POST'] },
    { ...base, path: '/b', ...lists, maxBody: 1024 },
    { ...base, path: '/c/*', ...open },
    { ...base, path: '/d', action: 'reject', methods: null },
  ]);
});

test('ports may be 0 on both sides, or equal on two addresses', () => {
  expect(load('listen: { port: 0 }\nadmin: { port: 0 }').admin.port).toBe(0);
  expect(load('listen: { host: 127.0.0.1, port: 9 }\nadmin: { host: 127.0.0.2, port: 9 }').admin.port).toBe(9);
});

describe('the file', () => {
  const folder = ownDirectory();

  const put = async (name: string, content: string | Buffer) => {
    const file = join(folder, name);
    await writeFile(file, content);
    return file;
  };
  const refusal = async (file: string | null, env = {}) => {
    const error: unknown = await loadConfig({ file, env }).catch((reason: unknown) => reason);
    if (error instanceof ConfigError) return error.problems.map(formatProblem);
    throw error;
  };

  test('is the one named, else the one in the environment, else none', async () => {
    const named = await put('named.yaml', 'listen: { port: 1 }');
    const other = await put('other.yaml', 'listen: { port: 2 }');
    const env = { ENTRUPY_PROXY_CONFIG: other };
    expect(await loadConfig({ file: named, env })).toMatchObject({ file: named, config: { listen: { port: 1 } } });
    expect(await loadConfig({ file: null, env })).toMatchObject({ file: other, config: { listen: { port: 2 } } });
    expect(await loadConfig({ file: null, env: { ENTRUPY_PROXY_CONFIG: '' } })).toMatchObject({ file: null });
  });

  test('is identified by the hash of its bytes', async () => {
    const bytes = Buffer.from('\ufefflisten: { port: 1 }\r\n');
    const { sha256, config } = await loadConfig({ file: await put('bom.yaml', bytes), env: {} });
    expect(sha256).toBe(createHash('sha256').update(bytes).digest('hex'));
    expect(config.listen.port).toBe(1);
  });

  test('must exist, be a file, be UTF-8 and not be huge', async () => {
    const missing = join(folder, 'missing.yaml');
    expect(await refusal(null, { ENTRUPY_PROXY_CONFIG: missing })).toHaveLength(1);
    const latin = await put('latin.yaml', Buffer.from([0x61, 0x3a, 0x20, 0xe9]));
    const pipe = join(folder, 'pipe.yaml'); // nobody may ever write to it
    execFileSync('mkfifo', [pipe]);
    const huge = await put('huge.yaml', '#'.repeat(1024 * 1024 + 1));
    for (const [file, problem] of [
      [missing, 'cannot be read: it does not exist'],
      [folder, 'cannot be read: it is a directory, not a file'],
      [pipe, 'cannot be read: it is not a regular file'],
      [latin, 'the file is not UTF-8 text'],
      [huge, 'cannot be read: it is larger than 1024 KiB: is this the right file?'],
    ] as const) {
      expect(await refusal(file)).toEqual([`${file}: ${problem}`]);
    }
  });

  test.runIf(process.platform === 'linux')('without an end is not read to its end', async () => {
    expect(await refusal('/dev/zero')).toEqual(['/dev/zero: cannot be read: it is not a regular file']);
  });
});
