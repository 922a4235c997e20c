// The output of `verify`, for each kind of outcome.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { run } from '../../../src/commands/verify.ts';
import { REASONS } from '../../../src/core/reasons.ts';
import { sign } from '../../support/deliveries/signer.ts';
import { ownDirectory } from '../../support/machine/files.ts';
import { ran } from '../../support/proxy/command.ts';

const BODY = '{"event":"session.completed"}';
const secret = (name: string) => `the-secret-called-${name}-0123456789`;
const [CURRENT, OLD, FUTURE] = [secret('current'), secret('old'), secret('future')];

const dir = ownDirectory();

function verify(signature: string, { args = [], env = {} }: { args?: string[]; env?: Record<string, string> } = {}) {
  const input = { env: { WEBHOOK_ENDPOINT_SECRET_KEY: CURRENT, ...env }, stdin: BODY };
  return ran(run, ['--signature', signature, ...args], input);
}

describe('with one secret', () => {
  const good = sign(CURRENT, BODY);
  test.each([
    ['the bare value', good],
    ['whitespace around it', ` ${good}\n`],
    ['the header line', `Entrupy-Signature: ${good}`],
    ['the header line as curl -v shows it', `> entrupy-signature:${good}`],
  ])('valid: %s', async (_, signature) => {
    expect(await verify(signature)).toEqual({ code: 0, stdout: 'valid\nsecret: env\n', stderr: '' });
  });

  test('invalid: its reason, and its hint', async () => {
    const stdout = 'invalid: signature_mismatch\nhint: the secret was used with a trailing newline\n';
    expect(await verify(sign(`${CURRENT}\n`, BODY))).toEqual({ code: 1, stdout, stderr: '' });
    expect(await verify(good.slice(7))).toMatchObject({
      code: 1,
      stdout: /^invalid: malformed_signature\nhint: the h/,
    });
  });
});

describe('with a configuration', () => {
  const put = (name: string, text: string) => {
    writeFileSync(join(dir, name), text);
    return join(dir, name);
  };
  const file = join(dir, 'config.yaml');
  beforeAll(() => void put('config.yaml', `secrets: [{ id: current, env: CURRENT }, ${OLD_SECRET}, ${others}]\n`));
  const OLD_SECRET = '{ id: old, env: OLD, notAfter: 2020-01-01T00:00:00Z }';
  const others = '{ id: future, env: FUTURE, notBefore: 2999-01-01T00:00:00Z }, { id: absent, env: ABSENT }';
  const env = { CURRENT, OLD, FUTURE, WEBHOOK_ENDPOINT_SECRET_KEY: '' };
  const clock = (text: string) => text.replace(/(?<=; this machine's clock says )20\S+Z/, 'NOW');
  const old =
    'signed with secret "old", which has expired (expired at 2020-01-01T00:00:00Z; this machine\'s clock says NOW)';
  const early =
    'signed with secret "future", which is not valid yet (not valid before 2999-01-01T00:00:00Z; this machine\'s clock says NOW)';
  const stderr = 'warning: secret absent: the variable is not set\n';
  test.each([
    ['current', CURRENT, 0, 'valid\nsecret: current\n'],
    ['old', OLD, 1, `invalid: expired_secret\nsecret: old\nhint: ${old}\n`],
    ['future', FUTURE, 1, `invalid: expired_secret\nsecret: future\nhint: ${early}\n`],
    ['unknown', 'x', 1, `invalid: signature_mismatch\nhint: ${REASONS.signature_mismatch.meaning}\n`],
  ])('signed with the %s secret', async (_, secret, code, stdout) => {
    const found = await verify(sign(secret, BODY), { args: ['--config', file], env });
    expect({ ...found, stdout: clock(found.stdout) }).toEqual({ code, stdout, stderr });
  });

  test('with an expired secret alone, which the proxy answers with 503 before it looks at the signature', async () => {
    const expired = put('expired.yaml', `secrets: [${OLD_SECRET}]\n`);
    const found = await verify(sign(OLD, BODY), { args: ['--config', expired], env });
    const stdout = `invalid: no_live_secret\nhint: ${old}\n`;
    expect({ ...found, stdout: clock(found.stdout) }).toEqual({ code: 1, stdout, stderr: '' });
    const odd = await verify('MD5:x', { args: ['--config', expired], env });
    expect(odd.stdout).toMatch(/^invalid: no_live_secret\n/);
  });

  test.each<[what: string, path: string, line: string, body: string, stdout: RegExp]>([
    [
      'of a body that the proxy had not read, only the form is told',
      '/notify',
      `Entrupy-Signature: SHA256:${Buffer.from(sign(CURRENT, BODY).slice(7), 'base64').toString('hex')}`,
      '',
      /^invalid: malformed_signature\nhint: the signature is hex, not base64\n$/,
    ],
    [
      'a renamed header is named',
      '/notify',
      `X-Hook-Signature: ${sign(CURRENT, BODY)}`,
      BODY,
      /^invalid: missing_signature\nhint: its signature came in X-Hook-Signature, so something in front/,
    ],
    [
      'the secret of another route is named',
      '/notify',
      `Entrupy-Signature: ${sign(FUTURE, BODY)}`,
      BODY,
      /^invalid: signature_mismatch\nhint: signed with secret "other" of another route\n$/,
    ],
    ['each route has its secrets', '/other', `Entrupy-Signature: ${sign(FUTURE, BODY)}`, BODY, /^valid\nsecret: other/],
  ])('a whole request: %s', async (what, path, line, body, stdout) => {
    const routes = '[{ path: /notify, secrets: [current] }, { path: /other, secrets: [other] }]';
    const secrets = '[{ id: current, env: CURRENT }, { id: other, env: FUTURE }]';
    const config = put('routes.yaml', `secrets: ${secrets}\nroutes: ${routes}\n`);
    const head = [`POST ${path} HTTP/1.1`, 'Host: a', `Content-Length: ${BODY.length}`, line, '', body];
    const request = put(`${what}.http`, head.join('\r\n'));
    const found = await ran(run, ['--request', request, '--config', config], { env, stdin: '' });
    expect(found.stdout).toMatch(stdout);
  });

  const start = `POST / HTTP/1.1\r\nHost: a\r\nEntrupy-Signature: ${sign(CURRENT, 'x')}\r\n`;
  test.each([
    ['header_too_large', `${start}Content-Length: 1\r\nX: ${'x'.repeat(20_000)}\r\n\r\nx`],
    ['bad_request', `${start}Transfer-Encoding: chunked\r\n\r\nzz`],
    ['header_timeout', start],
    ['body_timeout', `${start}Content-Length: 2\r\n\r\nx`],
  ])('a request that the proxy did not read to its end: %s', async (reason, request) => {
    const found = await ran(run, ['--request', put(reason, request), '--config', file], { env, stdin: '' });
    expect([found.code, found.stdout]).toEqual([1, expect.stringContaining(`invalid: ${reason}\n`)]);
  });

  test('without a usable secret', async () => {
    const found = await verify(sign(CURRENT, BODY), { args: ['--config', file] });
    expect(found).toMatchObject({ code: 2, stdout: '' });
    expect(found.stderr).toContain(`${file} has no usable secret\n`);
  });
});
