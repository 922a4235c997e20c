// `healthcheck` against a real admin port on loopback.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest';
import { run } from '../../../src/commands/healthcheck.ts';
import { fakeIo } from '../../support/proxy/fake-io.ts';

const dir = mkdtempSync(join(tmpdir(), 'health-'));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

let answer = { status: 200, body: '{"status":"ok"}' };
const asked: string[] = [];
const server = createServer((request, response) => {
  asked.push(`${request.method} ${request.url}`);
  response.writeHead(answer.status).end(answer.body);
});
let port: number;
beforeEach(async () => {
  asked.length = 0;
  answer = { status: 200, body: '{"status":"ok"}' };
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  port = (server.address() as AddressInfo).port;
});
afterEach(() => {
  server.close();
  server.closeAllConnections();
});

async function check(args: string[], env: Record<string, string> = {}) {
  const io = fakeIo({ env });
  const code = await run(args, io);
  return { code, ...io.printed };
}

function config(text: string): string {
  const path = join(dir, 'config.yaml');
  writeFileSync(path, text);
  return path;
}

const READY = { code: 0, stdout: '', stderr: '' };

describe('where it connects', () => {
  test.each<[name: string, text: (port: number) => string, env: Record<string, string>]>([
    ['the file', (p) => `admin:\n  port: ${p}\n`, {}],
    ['the file, flow style', (p) => `admin: { host: "::", port: ${p} }\n`, {}],
    ['its own host', (p) => `admin: { host: 127.0.0.1, port: ${p} }\n`, {}],
    ['all of IPv4', (p) => `admin: { host: 0.0.0.0, port: ${p} }\n`, {}],
    ["Kubernetes' service link is no port", (p) => `admin: { port: ${p} }\n`, { ADMIN_PORT: 'tcp://10.0.0.1:80' }],
    ['a file that is broken elsewhere', (p) => `admin:\n  port: ${p}\nroutes: [\n  a: b: c\n`, {}],
  ])('%s', async (_, text, env) => {
    const file = config(text(port));
    expect(await check(['--config', file], env)).toEqual(READY);
    expect(await check([], { ...env, ENTRUPY_PROXY_CONFIG: file })).toEqual(READY);
    expect(asked).toEqual(['GET /readyz', 'GET /readyz']);
  });

  test('ADMIN_PORT overrides the file', async () => {
    expect(await check(['--config', config('admin: { port: 1 }')], { ADMIN_PORT: String(port) })).toEqual(READY);
  });

  test('a missing file is reported, and the proxy is still asked', async () => {
    expect(await check(['--config', '/none'], { ADMIN_PORT: String(port) })).toEqual({
      ...READY,
      stderr: 'warning: cannot use /none: it does not exist\n',
    });
  });
});

describe('not ready', () => {
  test('with the causes', async () => {
    answer = { status: 503, body: '{"status":"unavailable","causes":["draining"]}' };
    expect(await check([], { ADMIN_PORT: String(port) })).toEqual({
      code: 1,
      stdout: 'not ready: 503 {"status":"unavailable","causes":["draining"]}\n',
      stderr: '',
    });
  });

  test('because nothing listens', async () => {
    server.close();
    expect(await check([], { ADMIN_PORT: String(port) })).toEqual({
      code: 1,
      stdout: `no answer from http://127.0.0.1:${port}/readyz: the connection was refused\n`,
      stderr: '',
    });
  });
});

/** The modules that a command loads, and those that it can load later. */
function loadedBy(command: string, when: 'at start' | 'ever'): readonly string[] {
  const seen = new Set<string>();
  const visit = (url: URL) => {
    const text = readFileSync(url, 'utf8');
    for (const [, from = '', later = ''] of text.matchAll(
      /^import (?!type )[^;]*from '([^']+)'|import\('([^']+)'\)/gm,
    )) {
      const name = from || (when === 'ever' ? later : '');
      if (!name.startsWith('.')) seen.add(name);
      else if (!seen.has(new URL(name, url).pathname)) {
        seen.add(new URL(name, url).pathname);
        visit(new URL(name, url));
      }
    }
  };
  visit(new URL(`../../../src/commands/${command}.ts`, import.meta.url));
  const short = [...seen].map((name) => name.replace(/^.*\/src\//, '')).filter((name) => name !== '');
  return short.sort();
}

const SHARED = ['base/colour.ts', 'base/default-paths.ts', 'base/errors.ts', 'base/local-url.ts'];
const ASKING = ['commands/admin-port.ts', 'commands/ask.ts', 'commands/command-line.ts', 'commands/definition.ts'];
const NODE = ['node:events', 'node:fs', 'node:fs/promises', 'node:net', 'node:util'];

test('neither the proxy nor node:http is loaded as a module: it runs within the memory limit of the proxy', () => {
  expect(loadedBy('healthcheck', 'at start')).toEqual([...SHARED, ...ASKING, ...NODE].sort());
  const later = loadedBy('healthcheck', 'ever').filter((name) => !loadedBy('healthcheck', 'at start').includes(name));
  expect(later).toEqual(['config/yaml-errors.ts', 'config/yaml.ts', 'yaml']);
});

test('check loads no more at its start, but tables of texts: no secret, no parser, no part of the proxy', () => {
  const own = [
    'admin/advice-pages.ts',
    'base/printable.ts',
    'commands/check/configuration-in-use.ts',
    'commands/check/status-lines.ts',
  ];
  const more = ['config/units.ts', 'node:crypto', 'node:timers/promises'];
  expect(loadedBy('check/check', 'at start')).toEqual([...SHARED, ...ASKING, ...NODE, ...own, ...more].sort());
});
