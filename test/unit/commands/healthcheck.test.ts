// `healthcheck` against a real admin port on loopback.
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { run } from '../../../src/commands/healthcheck.ts';
import { ownDirectory } from '../../support/machine/files.ts';
import { listening } from '../../support/machine/listening.ts';
import { ran } from '../../support/proxy/command.ts';

const dir = ownDirectory();
let answer = { status: 200, body: '{"status":"ok"}' };
const asked: string[] = [];
const server = createServer((request, response) => {
  asked.push(`${request.method} ${request.url}`);
  response.writeHead(answer.status).end(answer.body);
});
const { port, close } = await listening(server);
afterAll(close);

const check = (args: string[], env: Record<string, string> = {}) => ran(run, args, { env });

function config(text: string): string {
  const path = join(dir, 'config.yaml');
  writeFileSync(path, text);
  return path;
}

const READY = { code: 0, stdout: '', stderr: '' };

describe('where it connects', () => {
  test.each<[name: string, text: (port: number) => string, env: Record<string, string>]>([
    ['the file', (p) => `admin:\n  port: ${p}\n`, {}],
    ['the file, as Windows saves it', (p) => `\ufeffadmin:\r\n  port: ${p}\r\nlisten:\r\n  port: 1\r\n`, {}],
    ['the file, flow style', (p) => `admin: { host: "::", port: ${p} }\n`, {}],
    ['the file, as JSON', (p) => JSON.stringify({ admin: { actionsFrom: [], port: p }, listen: { port: 1 } }), {}],
    [
      'no comment',
      (p) => `# admin: { port: 1 }\nadmin: # port: 2\n  # port: 3\n\n  port: ${p} # 4\nlisten:\n  port: 5\n`,
      {},
    ],
    ['no other section', (p) => `listen:\n  port: 1\nadmin:\n  port: ${p}\nupstream:\n  url: http://a\n`, {}],
    ['the line after the key', (p) => `admin:\n  port:\n    ${p}\n`, {}],
    ["Kubernetes' service link is no port", (p) => `admin: { port: ${p} }\n`, { ADMIN_PORT: 'tcp://10.0.0.1:80' }],
    ['a file that is broken before it', (p) => `log: "info\nadmin:\n  port: ${p}\n`, {}],
  ])('%s', async (_, text, env) => {
    const file = config(text(port));
    expect(await check(['--config', file], env)).toEqual(READY);
    expect(await check([], { ...env, ENTRUPY_PROXY_CONFIG: file })).toEqual(READY);
    expect(asked.splice(0)).toEqual(['GET /readyz', 'GET /readyz']);
  });

  test('ADMIN_PORT and ADMIN_HOST override the file', async () => {
    expect(await check(['--config', config('admin: { port: 1 }')], { ADMIN_PORT: String(port) })).toEqual(READY);
    const file = config(`admin: { host: 192.0.2.1, port: ${port} }`);
    expect(await check(['--config', file], { ADMIN_HOST: '127.0.0.1' })).toEqual(READY);
    expect(await check(['--config', file], { ADMIN_HOST: '::', ADMIN_PORT: String(port) })).toEqual(READY);
  });

  test('a missing file is reported, and the proxy is still asked', async () => {
    expect(await check(['--config', '/none'], { ADMIN_PORT: String(port) })).toEqual({
      ...READY,
      stderr: 'warning: cannot use /none: it does not exist\n',
    });
  });
});

test('not ready is told with the causes, or why nothing answers', async () => {
  answer = { status: 503, body: '{"status":"unavailable","causes":["draining"]}' };
  const causes = `not ready: 503 ${answer.body}\n`;
  expect(await check([], { ADMIN_PORT: String(port) })).toEqual({ code: 1, stdout: causes, stderr: '' });
  const silent = 'no answer from http://127.0.0.1:1/readyz: the connection was refused\n';
  expect(await check([], { ADMIN_PORT: '1' })).toEqual({ code: 1, stdout: silent, stderr: '' });
});
