// `probe` against a real server on loopback: the request it sends, its output and its exit code.
import { rm, writeFile } from 'node:fs/promises';
import { createServer, type IncomingHttpHeaders, type RequestListener, type ServerResponse } from 'node:http';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { run } from '../../../src/commands/probe.ts';
import { ask } from '../../../src/commands/running-proxy.ts';
import { SECRET, sign } from '../../support/deliveries/signer.ts';
import { ownDirectory } from '../../support/machine/files.ts';
import { listening } from '../../support/machine/listening.ts';
import { ran } from '../../support/proxy/command.ts';

const BODY = '{"probe":"entrupy-signature-proxy"}';
const directory = ownDirectory(beforeEach, afterEach);
const closers: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0)) await close();
});

async function serve(listener: RequestListener): Promise<string> {
  const { port, close } = await listening(createServer(listener));
  closers.push(close);
  return `http://127.0.0.1:${port}/notify?x=1`;
}

/** The requests that came, with their bodies in latin1. */
const seen: { method: string | undefined; headers: IncomingHttpHeaders; body: string; signature: unknown }[] = [];
beforeEach(() => void seen.splice(0));

const recording = (answer: (isSigned: boolean, response: ServerResponse) => unknown) =>
  serve(async (request, response) => {
    const { method, headers } = request;
    const body = Buffer.concat(await request.toArray());
    const signature = headers['entrupy-signature'];
    seen.push({ method, headers, body: body.toString('latin1'), signature });
    answer(signature === sign(SECRET, body), response);
  });

const answering = (status: number, body = '') => recording((_, response) => response.writeHead(status).end(body));
const takingSigned = () => recording((isSigned, response) => response.writeHead(isSigned ? 200 : 401).end());

const probe = (...args: string[]) => ran(run, args, { env: { HOOK: SECRET } });

describe('success and failure', () => {
  test.each([
    [204, [], 0, 'ok: expected 2xx, got 204'],
    [401, ['--expect', '401'], 0, 'ok: expected 401, got 401'],
    [200, ['--expect', '401'], 1, 'failed: expected 401, got 200'],
    [502, ['--expect-not', '401'], 0, 'ok: expected anything but 401, got 502'],
    [401, ['--expect-not', '401'], 1, 'failed: expected anything but 401, got 401'],
  ])('a response of %i with %j', async (status, args, code, line) => {
    const url = await answering(status);
    const stdout = `${line} (unsigned POST ${url})\n`;
    expect(await probe('--url', url, ...args)).toEqual({ code, stdout, stderr: '' });
  });

  test('the start of the response is shown, in one line', async () => {
    const url = await answering(401, `{"error":\n"unauthorized"}\x1b[31m${'x'.repeat(5000)}`);
    const { stdout } = await probe('--url', url, '--expect', '401');
    expect(stdout).toMatch(/^ok: expected 401, got 401 \{"error": "unauthorized"\} \[31mx+ \(unsigned POST [^\n]*\n$/);
    expect(stdout.length).toBeLessThan(700);
  });
});

test('it sends one POST of JSON, signed if a secret is given, and does not print the secret', async () => {
  const url = await answering(200);
  const { code, stdout } = await probe('--url', url, '--secret-env', 'HOOK');
  await probe('--url', url);
  expect({ code, stdout }).toEqual({ code: 0, stdout: `ok: expected 2xx, got 200 (signed POST ${url})\n` });
  expect(seen).toMatchObject([
    { method: 'POST', body: BODY, headers: { 'content-type': 'application/json', 'content-length': '35' } },
    { method: 'POST', body: BODY },
  ]);
  expect(seen.map(({ signature }) => signature)).toEqual([sign(SECRET, BODY), undefined]);
});

test('--body sends the bytes of a file, signed; one that is missing is a usage error', async () => {
  const url = await takingSigned();
  const file = join(directory, 'event.json');
  const event = Buffer.from('{"odd":"\xff\n"}\r\n', 'latin1');
  await writeFile(file, event);
  expect(await probe('--url', url, '--secret-env', 'HOOK', '--body', file)).toMatchObject({ code: 0, stderr: '' });
  expect(seen.map(({ body }) => body)).toEqual([event.toString('latin1')]);
  // One without a signature is nobody's delivery, and says so.
  expect(await probe('--url', url, '--unsigned', '--body', file, '--expect', '401')).toMatchObject({ code: 0 });
  expect(seen.map(({ headers }) => headers['user-agent'])).toEqual([undefined, 'entrupy-signature-proxy']);
  const missing = await probe('--url', url, '--body', join(directory, 'none'));
  expect(missing).toMatchObject({ code: 2, stderr: expect.stringMatching(/cannot read the body from .*none: /) });
});

describe('a directory of secrets', () => {
  const OTHER = 'another secret that nothing takes any more';
  const put = (files: Readonly<Record<string, string>>) =>
    Promise.all(Object.entries(files).map(([name, text]) => writeFile(join(directory, name), text)));
  const refused = () => ['--secret-file', directory, '--expect-not', '401'];

  test('is tried secret by secret until one succeeds, and the output says which', async () => {
    await put({ current: OTHER, next: SECRET, third: 'a secret that is not tried', '.hidden': 'no secret' });
    const url = await takingSigned();
    const stdout = `ok: expected anything but 401, got 200 (signed POST ${url}, with next)\n`;
    expect(await probe('--url', url, ...refused())).toEqual({ code: 0, stdout, stderr: '' });
    expect(seen).toHaveLength(2);
  });

  test('fails if every secret is refused, and if it holds none', async () => {
    await put({ current: OTHER, next: `${OTHER}, either` });
    const url = await takingSigned();
    const stdout = `failed: expected anything but 401, got 401 (signed POST ${url}, with each of 2 secrets)\n`;
    expect(await probe('--url', url, ...refused())).toMatchObject({ code: 1, stdout });
    for (const name of ['current', 'next']) await rm(join(directory, name));
    const stderr = expect.stringContaining(`no secret can be used: directory ${directory}: it holds no secrets`);
    expect(await probe('--url', url, ...refused())).toMatchObject({ code: 2, stderr });
  });
});

// Answers that are none: test/integration/strange-answers.test.ts.
test.each([
  ['the head', () => serve(() => {})],
  ['the end of the body', () => serve((_, response) => response.write('x'))],
])('%s does not come in time', async (_, start) => {
  const url = new URL(await start());
  expect(await ask({ url, timeout: 50 })).toEqual({ status: null, text: 'no answer within 0.05 s' });
});

describe('a server that comes up later', () => {
  /** Cuts the first connections; then answers a signed request with each status in turn, the last one for ever. */
  const later = (cuts: number, ...statuses: number[]) =>
    serve((request, response) => {
      if (cuts-- > 0) return void request.socket.destroy();
      const isSigned = request.headers['entrupy-signature'] === sign(SECRET, BODY);
      const [status = 200] = statuses.length > 1 ? statuses.splice(0, 1) : statuses;
      request.resume().on('end', () => response.writeHead(isSigned ? status : 401).end());
    });
  const both = ['--secret-env', 'HOOK', '--expect-not', '401', '--expect-unsigned', '401'];

  test('is waited for with --wait, and then gets both requests', async () => {
    const url = await later(1);
    expect(await probe('--url', url, ...both)).toMatchObject({ code: 1 });
    const again = await later(1);
    expect(await probe('--url', again, ...both, '--wait', '1m')).toEqual({
      code: 0,
      stdout: `ok: expected anything but 401, got 200 (signed POST ${again})\nok: expected 401, got 401 (unsigned POST ${again})\n`,
      stderr: '',
    });
  });

  test('is waited for while it answers 5xx, but never once it has refused', async () => {
    expect(await probe('--url', await later(0, 503, 200), '--secret-env', 'HOOK', '--wait', '1m')).toMatchObject({
      code: 0,
    });
    const url = await later(0);
    const stdout = `failed: expected 500, got 401 (unsigned POST ${url})\n`;
    expect(await probe('--url', url, '--expect', '500', '--wait', '24h')).toEqual({ code: 1, stdout, stderr: '' });
  });

  test('and never does: the output says what it met, and what to ask', async () => {
    const url = 'http://127.0.0.1:1/';
    expect(await probe('--url', url, ...both, '--wait', '10ms')).toEqual({
      code: 1,
      stdout: `failed: expected anything but 401, got no answer: the connection was refused (signed POST ${url})\n`,
      stderr: expect.stringContaining('`check`, run beside the proxy'),
    });
  });

  test('the unsigned request of --expect-unsigned can fail alone, and needs a signed one before it', async () => {
    const url = await answering(200);
    const stdout = `ok: expected anything but 401, got 200 (signed POST ${url})\nfailed: expected 401, got 200 (unsigned POST ${url})\n`;
    expect(await probe('--url', url, ...both)).toEqual({ code: 1, stdout, stderr: '' });
    for (const wrong of [
      ['--expect-unsigned', '401'],
      [...both.slice(0, 2), '--expect-unsigned', 'x'],
      ['--wait', '1'],
    ])
      expect(await probe('--url', url, ...wrong)).toMatchObject({ code: 2 });
  });
});
