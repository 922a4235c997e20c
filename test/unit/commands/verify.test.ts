// The output of `verify`, for each kind of outcome.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { EITHER } from '../../../src/admin/advice-signatures.ts';
import { run } from '../../../src/commands/verify.ts';
import { sign } from '../../support/deliveries/signer.ts';
import { fakeIo } from '../../support/proxy/fake-io.ts';

const BODY = '{"event":"session.completed"}';
const [CURRENT, OLD, FUTURE] = ['current', 'old', 'future'].map((name) => `the-secret-called-${name}-0123456789`) as [
  string,
  string,
  string,
];

const dir = mkdtempSync(join(tmpdir(), 'verify-'));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

async function verify(signature: string, options: { args?: string[]; env?: Record<string, string> } = {}) {
  const io = fakeIo({ env: { WEBHOOK_ENDPOINT_SECRET_KEY: CURRENT, ...options.env }, stdin: BODY });
  const code = await run(['--signature', signature, ...(options.args ?? [])], io);
  return { code, ...io.printed };
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

  test.each([
    [sign(OLD, BODY), `invalid: signature_mismatch\nhint: ${EITHER}\n`],
    [sign(`${CURRENT}\n`, BODY), 'invalid: signature_mismatch\nhint: the secret was used with a trailing newline\n'],
    [good.slice(7), 'invalid: malformed_signature\nhint: the prefix SHA256: is missing; otherwise it is correct\n'],
    [good.toLowerCase(), 'invalid: unsupported_algorithm\nhint: the algorithm must be written SHA256\n'],
    ['MD5:x', 'invalid: unsupported_algorithm\nhint: the signature names an algorithm other than SHA256\n'],
  ])('%s', async (signature, stdout) => {
    expect(await verify(signature)).toEqual({ code: 1, stdout, stderr: '' });
  });
});

describe('with a configuration', () => {
  const file = join(dir, 'config.yaml');
  writeFileSync(
    file,
    `secrets:
  - { id: current, env: CURRENT }
  - { id: old, env: OLD, notAfter: 2020-01-01T00:00:00Z }
  - { id: future, env: FUTURE, notBefore: 2999-01-01T00:00:00Z }
  - { id: absent, env: ABSENT }
`,
  );
  const env = { CURRENT, OLD, FUTURE, WEBHOOK_ENDPOINT_SECRET_KEY: '' };
  const stderr = 'warning: secret absent: the variable is not set\n';
  test.each([
    ['current', CURRENT, 0, 'valid\nsecret: current\n'],
    ['old', OLD, 1, 'invalid: expired_secret\nsecret: old\nhint: signed with secret "old", which has expired\n'],
    [
      'future',
      FUTURE,
      1,
      'invalid: expired_secret\nsecret: future\nhint: signed with secret "future", which is not valid yet\n',
    ],
    ['unknown', 'x', 1, `invalid: signature_mismatch\nhint: ${EITHER}\n`],
  ])('signed with the %s secret', async (_, secret, code, stdout) => {
    expect(await verify(sign(secret, BODY), { args: ['--config', file], env })).toEqual({ code, stdout, stderr });
  });

  test('with an expired secret alone, which the proxy answers with 503 before it looks at the signature', async () => {
    const expired = join(dir, 'expired.yaml');
    writeFileSync(expired, 'secrets: [{ id: old, env: OLD, notAfter: 2020-01-01T00:00:00Z }]\n');
    const stdout = 'invalid: no_live_secret\nhint: signed with secret "old", which has expired\n';
    const found = await verify(sign(OLD, BODY), { args: ['--config', expired], env });
    expect(found).toEqual({ code: 1, stdout, stderr: '' });
    const odd = await verify('MD5:x', { args: ['--config', expired], env });
    expect(odd.stdout).toMatch(/^invalid: no_live_secret\n/);
  });

  test('without a usable secret', async () => {
    const found = await verify(sign(CURRENT, BODY), { args: ['--config', file] });
    expect(found).toMatchObject({ code: 2, stdout: '' });
    expect(found.stderr).toContain(`${file} has no usable secret\n`);
  });

  test('that is invalid, or missing', async () => {
    const wrong = join(dir, 'wrong.yaml');
    writeFileSync(wrong, 'secretz: []\nroutes: 3\n');
    for (const path of [wrong, join(dir, 'none.yaml')]) {
      const found = await verify(sign(CURRENT, BODY), { args: ['--config', path] });
      expect(found).toMatchObject({ code: 2, stdout: '' });
      expect(found.stderr).toMatch(/^entrupy-signature-proxy verify: the configuration cannot be used\n/);
      expect(found.stderr).not.toMatch(/^ +at /m);
    }
  });
});
