// `capture` hands the next refused requests to an operator, byte for byte, and never an accepted one.
import { readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { expect } from 'vitest';
import { openClient } from '../support/http/raw-client.ts';
import { post as postOf, signatureLine } from '../support/http/requests.ts';
import { callCommand } from '../support/proxy/command.ts';
import { eventually, test, value } from '../support/proxy/proxied.ts';
import type { RunningProxy } from '../support/proxy/proxy.ts';

const CONFIG = {
  routes: [{ path: '/notify' }, { path: '/trial', mode: 'report', reportUntil: '2999-01-01T00:00:00Z' }],
  unmatched: 'reject',
};
const WRONG = `SHA256:${'A'.repeat(43)}=`;

const begun = (proxy: RunningProxy) => proxy.waitForLog(({ msg }) => msg === 'a capture of refused requests begins');
const ended = (proxy: RunningProxy) => proxy.waitForLog(({ msg }) => msg === 'a capture of refused requests ends');

function capture(proxy: Pick<RunningProxy, 'adminPort'>, out: string, ...args: string[]) {
  return callCommand(['capture', '--out', out, ...args], { env: { ADMIN_PORT: String(proxy.adminPort) } });
}

/** Sends each request on a connection of its own, in pieces, and reads its answer; the next one follows the answer. */
async function send(proxy: RunningProxy, ...requests: readonly (readonly string[])[]): Promise<number[]> {
  const statuses: number[] = [];
  for (const pieces of requests) {
    const client = await openClient({ port: proxy.port });
    for (const piece of pieces) await client.send(piece);
    statuses.push((await client.response()).status);
    client.destroy();
  }
  return statuses;
}

const post = (target: string, body: string, ...lines: string[]) => postOf(body, { target, lines });

test.concurrent('three files of five requests, as they came; verify repeats verdicts', async ({ start, directory }) => {
  const proxy = await start(CONFIG);
  const out = join(directory, 'refused');
  const env = { ADMIN_PORT: String(proxy.adminPort), ENTRUPY_PROXY_CONFIG: proxy.configFile };
  const captured = callCommand(['capture', '--out', out, '--count', '3'], { env });
  await begun(proxy);
  const event = '{"n":1}';
  const chunked = [
    `POST /notify HTTP/1.1\r\nhOST:  a\r\nEntrupy-Signature: ${WRONG}\r\nTransfer-Encoding: chunked\r\n\r\n`,
    ...'003;odd="x"\r\n{"n\r\n4\r\n":1}\r\n0\r\nTrailing: yes\r\n\r\n',
  ];
  const unread = post('/notify', event);
  const malformed = 'POST /notify HTTP/1.1\r\nHost : a\r\nX: \xff\r\n\r\n';
  const accepted = post('/notify', event, signatureLine(event, value('a')));
  const reported = post('/trial', event);
  expect(await send(proxy, [accepted], chunked, [reported], [unread], [malformed])).toEqual([200, 401, 200, 401, 400]);
  const { code, stdout } = await captured;
  expect(code).toBe(0);
  const [first, second, third] = (await readdir(out)).map((name) => join(out, name));
  const text = async (file = '') => (await readFile(file)).toString('latin1');
  expect(await text(first)).toBe(chunked.join(''));
  expect(await text(second)).toBe(unread.slice(0, -event.length));
  expect(await text(third)).toBe(malformed);
  expect((await stat(first ?? '')).mode & 0o777).toBe(0o600);
  expect((await stat(out)).mode & 0o777).toBe(0o700);
  const reasons = ['signature_mismatch', 'missing_signature', 'bad_request'];
  for (const [index, file] of [first, second, third].entries()) {
    expect(file).toBe(join(out, `00${index + 1}-${reasons[index]}.http`));
    const options = ['--request', file ?? '', '--config', proxy.configFile];
    expect(stdout).toContain(`entrupy-signature-proxy verify ${options.join(' ')}\n`);
    const verified = await callCommand(['verify', '--json', ...options]);
    expect([verified.code, JSON.parse(verified.stdout)]).toMatchObject([1, { reason: reasons[index] }]);
  }
  expect(await ended(proxy)).toMatchObject({ client: '127.0.0.1', captured: 3, missed: 0 });
});

test.concurrent('reported ones by reason, pipelined ones whole; no file is lost', async ({ start, directory }) => {
  const proxy = await start(CONFIG);
  await writeFile(join(directory, '001-missing_signature.http'), 'mine');
  const captured = capture(proxy, directory, '--count', '2', '--reason', 'missing_signature');
  await begun(proxy);
  const client = await openClient({ port: proxy.port });
  const [other, reported, refused] = [post('/other', 'x'), post('/trial', 'reported'), post('/notify', '')];
  await client.send(other + reported + refused);
  for (const status of [404, 200, 401]) expect((await client.response()).status).toBe(status);
  client.destroy();
  expect((await captured).code).toBe(0);
  const files = (await readdir(directory)).filter((name) => name.endsWith('.http')).sort();
  const texts = await Promise.all(files.map((name) => readFile(join(directory, name), 'utf8')));
  expect(texts).toEqual(['mine', reported, refused]);
});

test.concurrent('verify repeats the verdict on chunks that were cut at maxBody', async ({ start, directory }) => {
  const proxy = await start({ ...CONFIG, limits: { maxBody: 8 } });
  const captured = capture(proxy, directory, '--count', '1');
  await begun(proxy);
  const head = `POST /notify HTTP/1.1\r\nHost: a\r\nEntrupy-Signature: ${WRONG}\r\nTransfer-Encoding: chunked\r\n\r\n`;
  expect(await send(proxy, [head, `9\r\n${'x'.repeat(9)}\r\n`])).toEqual([413]);
  expect((await captured).code).toBe(0);
  const file = join(directory, '001-body_too_large.http');
  const verified = await callCommand(['verify', '--json', '--request', file, '--config', proxy.configFile]);
  expect([verified.code, JSON.parse(verified.stdout)]).toMatchObject([
    1,
    { reason: 'body_too_large', hint: 'maxBody is 8 bytes, and the body has more' },
  ]);
});

test.concurrent('no request, no proxy, a second one, a bad directory', async ({ start, directory, answering }) => {
  const proxy = await start(CONFIG);
  const inFile = await capture(proxy, join(proxy.configFile, 'refused'));
  expect(inFile).toMatchObject({ code: 2, stderr: expect.stringContaining('a part of its path is not a directory') });
  // In /proc nothing can be created: Node's own recursive mkdir would never return.
  expect(await capture(proxy, '/proc/refused')).toMatchObject({ code: 2, stderr: expect.stringContaining('create') });
  expect(await capture(proxy, directory, '--for', '50ms')).toMatchObject({
    code: 1,
    stdout: '',
    stderr: expect.stringMatching(/^waiting .*\nno request was refused meanwhile\n$/),
  });
  const other = await capture(proxy, directory, '--for', '50ms', '--reason', 'body_too_large');
  expect(other.stderr).toContain('no request was refused as body_too_large meanwhile\n');
  const busy = capture(proxy, directory, '--count', '1');
  await proxy.waitForLog(({ msg, count }) => msg === 'a capture of refused requests begins' && count === 1);
  expect(await capture(proxy, directory)).toMatchObject({ code: 1, stderr: expect.stringContaining('answers 409') });
  await send(proxy, [post('/notify', '')]);
  expect((await busy).code).toBe(0);
  const refused = await capture(proxy, directory, '--reason', 'nonsense');
  expect(refused).toMatchObject({ code: 2, stderr: expect.stringContaining('reason one of bad_request') });
  const cut = capture(proxy, directory, '--count', '77');
  await proxy.waitForLog(({ msg, count }) => msg === 'a capture of refused requests begins' && count === 77);
  await proxy.stop();
  expect((await cut).stderr).toMatch(/\nthe capture broke off: .*\nno request was captured\n$/);
  expect(await capture(proxy, directory)).toMatchObject({ code: 1, stderr: expect.stringMatching(/^no answer from/) });
  const slow = await answering((_, response) => response.end('{"missed":2}\n'));
  const { stderr } = await capture({ adminPort: slow.port }, directory);
  expect(stderr).toMatch(/^waiting .*\n2 were refused that could not be copied or read in time\n$/);
});

test.concurrent('a slow reader delays no answer, holds what is bounded, is told what it missed', async ({ start }) => {
  const proxy = await start({ ...CONFIG, limits: { maxBody: '1MiB' } });
  const reader = connect({ port: proxy.adminPort, host: '127.0.0.1' });
  reader.write('POST /-/capture?count=9999 HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\n\r\n');
  await begun(proxy);
  const body = 'x'.repeat(1_000_000);
  const large = post('/notify', body, `Entrupy-Signature: ${WRONG}`);
  // Nobody reads yet: what the kernel does not take waits in the proxy, one of them at a time.
  for (let sent = 0; sent < 40; sent++) expect(await send(proxy, [large])).toEqual([401]);
  let bytes = 0;
  reader.on('data', (piece) => {
    bytes += piece.length;
  });
  await eventually(() => bytes > large.length, true);
  await proxy.stop();
  await eventually(() => reader.readableEnded || reader.destroyed, true);
  const { captured, missed } = await ended(proxy);
  expect(Number(captured) + Number(missed)).toBe(40);
  expect(Number(missed)).toBeGreaterThan(0);
  reader.destroy();
});
