// `capture` hands the next refused requests to an operator, byte for byte, and never an accepted one.
import { readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { expect } from 'vitest';
import { openClient } from '../support/http/raw-client.ts';
import { post as postOf, signatureLine } from '../support/http/requests.ts';
import { callCommand } from '../support/proxy/command.ts';
import { eventually, test, value } from '../support/proxy/proxied.ts';
import { shared } from '../support/proxy/shared.ts';
import { startUpstream } from '../support/upstream/upstream.ts';

const WRONG = `SHA256:${'A'.repeat(43)}=`;

const on = shared(startUpstream, {
  routes: [
    ...[{ path: '/notify' }, { path: '/small', maxBody: 8 }],
    { path: '/trial', mode: 'report', reportUntil: '2999-01-01T00:00:00Z' },
  ],
  unmatched: 'reject',
  limits: { maxBody: '1MiB' },
});

const told = (what: 'begins' | 'ends') =>
  on.proxy.logs().filter(({ msg }) => msg === `a capture of refused requests ${what}`);
/** The first line of such a message behind these. */
const next = async (what: 'begins' | 'ends', known: number) => {
  await eventually(() => told(what).length > known, true);
  return told(what)[known];
};

function capture(out: string, ...args: string[]) {
  const { adminPort, configFile } = on.proxy;
  const env = { ADMIN_PORT: String(adminPort), ENTRUPY_PROXY_CONFIG: configFile };
  return callCommand(['capture', '--out', out, ...args], { env });
}

/** Begins one; resolves when it does. */
async function capturing(out: string, ...args: string[]) {
  const known = told('begins').length;
  const captured = capture(out, ...args);
  await next('begins', known);
  return { captured };
}

/** Sends each request on a connection of its own, in pieces, and reads its answer; the next one follows the answer. */
async function send(...requests: readonly (readonly string[])[]): Promise<number[]> {
  const statuses: number[] = [];
  for (const pieces of requests) {
    const client = await openClient(on.proxy);
    for (const piece of pieces) await client.send(piece);
    statuses.push((await client.response()).status);
    client.destroy();
  }
  return statuses;
}

const post = (target: string, body: string, ...lines: string[]) => postOf(body, { target, lines });

test('three files of five requests, as they came; verify repeats verdicts', async ({ directory }) => {
  const { configFile } = on.proxy;
  const out = join(directory, 'refused');
  const { captured } = await capturing(out, '--count', '3');
  const event = '{"n":1}';
  const chunked = [
    `POST /notify HTTP/1.1\r\nhOST:  a\r\nEntrupy-Signature: ${WRONG}\r\nTransfer-Encoding: chunked\r\n\r\n`,
    ...'003;odd="x"\r\n{"n\r\n4\r\n":1}\r\n0\r\nTrailing: yes\r\n\r\n',
  ];
  const unread = post('/notify', event);
  const malformed = 'POST /notify HTTP/1.1\r\nHost : a\r\nX: \xff\r\n\r\n';
  const accepted = post('/notify', event, signatureLine(event, value('a')));
  const reported = post('/trial', event);
  expect(await send([accepted], chunked, [reported], [unread], [malformed])).toEqual([200, 401, 200, 401, 400]);
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
    const options = ['--request', file ?? '', '--config', configFile];
    expect(stdout).toContain(`entrupy-signature-proxy verify ${options.join(' ')}\n`);
    const verified = await callCommand(['verify', '--json', ...options]);
    expect([verified.code, JSON.parse(verified.stdout)]).toMatchObject([1, { reason: reasons[index] }]);
  }
  expect(await next('ends', 0)).toMatchObject({ client: '127.0.0.1', captured: 3, missed: 0 });
});

test('reported ones by reason, pipelined ones whole; no file is lost', async ({ directory }) => {
  await writeFile(join(directory, '001-missing_signature.http'), 'mine');
  const { captured } = await capturing(directory, '--count', '2', '--reason', 'missing_signature');
  const client = await openClient(on.proxy);
  const [other, reported, refused] = [post('/other', 'x'), post('/trial', 'reported'), post('/notify', '')];
  await client.send(other + reported + refused);
  for (const status of [404, 200, 401]) expect((await client.response()).status).toBe(status);
  client.destroy();
  expect((await captured).code).toBe(0);
  const files = (await readdir(directory)).filter((name) => name.endsWith('.http')).sort();
  const texts = await Promise.all(files.map((name) => readFile(join(directory, name), 'utf8')));
  expect(texts).toEqual(['mine', reported, refused]);
});

test('verify repeats the verdict on chunks that were cut at maxBody', async ({ directory }) => {
  const { captured } = await capturing(directory, '--count', '1');
  const head = `POST /small HTTP/1.1\r\nHost: a\r\nEntrupy-Signature: ${WRONG}\r\nTransfer-Encoding: chunked\r\n\r\n`;
  expect(await send([head, `9\r\n${'x'.repeat(9)}\r\n`])).toEqual([413]);
  expect((await captured).code).toBe(0);
  const file = join(directory, '001-body_too_large.http');
  const verified = await callCommand(['verify', '--json', '--request', file, '--config', on.proxy.configFile]);
  expect([verified.code, JSON.parse(verified.stdout)]).toMatchObject([
    1,
    { reason: 'body_too_large', hint: 'maxBody is 8 bytes, and the body has more' },
  ]);
});

test('no request, a second one, a bad directory, requests that were missed', async ({ directory, answering }) => {
  const inFile = await capture(join(on.proxy.configFile, 'refused'));
  expect(inFile).toMatchObject({ code: 2, stderr: expect.stringContaining('a part of its path is not a directory') });
  const onFile = await capture(on.proxy.configFile, '--for', '50ms');
  expect(onFile).toMatchObject({ code: 2, stderr: expect.stringContaining('it exists, and is not a directory') });
  // In /proc nothing can be created: Node's own recursive mkdir would never return.
  expect(await capture('/proc/refused')).toMatchObject({ code: 2, stderr: expect.stringContaining('create') });
  expect(await capture(directory, '--for', '50ms')).toMatchObject({
    code: 1,
    stdout: '',
    stderr: expect.stringMatching(/^waiting .*\nno request was refused meanwhile\n$/),
  });
  const other = await capture(directory, '--for', '50ms', '--reason', 'body_too_large');
  expect(other.stderr).toContain('no request was refused as body_too_large meanwhile\n');
  const { captured } = await capturing(directory, '--count', '1');
  expect(await capture(directory)).toMatchObject({ code: 1, stderr: expect.stringContaining('answers 409') });
  await send([post('/notify', '')]);
  expect((await captured).code).toBe(0);
  const refused = await capture(directory, '--reason', 'nonsense');
  expect(refused).toMatchObject({ code: 2, stderr: expect.stringContaining('reason one of bad_request') });
  const slow = await answering((_, response) => response.end('{"missed":2}\n'));
  const ofSlow = await callCommand(['capture', '--out', directory], { env: { ADMIN_PORT: `${slow.port}` } });
  expect(ofSlow.stderr).toMatch(/^waiting .*\n2 were refused that could not be copied or read in time\n$/);
});

test('a slow reader delays no answer, holds what is bounded, is told what it missed', async () => {
  const reader = connect({ port: on.proxy.adminPort, host: '127.0.0.1' });
  const [begun, ended] = [told('begins').length, told('ends').length];
  reader.write('POST /-/capture?count=9999 HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\n\r\n');
  await next('begins', begun);
  const body = 'x'.repeat(1_000_000);
  const large = post('/notify', body, `Entrupy-Signature: ${WRONG}`);
  // Nobody reads yet: what the kernel does not take waits in the proxy, one of them at a time.
  for (let sent = 0; sent < 40; sent++) expect(await send([large])).toEqual([401]);
  let bytes = 0;
  reader.on('data', (piece) => {
    bytes += piece.length;
  });
  await eventually(() => bytes > large.length, true);
  reader.destroy();
  const line = await next('ends', ended);
  expect(Number(line?.captured) + Number(line?.missed)).toBe(40);
  expect(Number(line?.missed)).toBeGreaterThan(0);
});

test('the proxy stops, or is not there', async ({ directory }) => {
  const { captured } = await capturing(directory, '--count', '77');
  await on.proxy.stop();
  expect((await captured).stderr).toMatch(/\nthe capture broke off: .*\nno request was captured\n$/);
  expect(await capture(directory)).toMatchObject({ code: 1, stderr: expect.stringMatching(/^no answer from/m) });
});
