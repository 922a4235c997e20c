// `sign` and `verify` as a user runs them: as a process, with files and pipes, checked against an HMAC that is not Node's.
import { execFileSync, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { ownDirectory } from '../support/machine/files.ts';
import { haveTools } from '../support/machine/tools.ts';
import { callCommand } from '../support/proxy/command.ts';
import { PROGRAM } from '../support/proxy/program.ts';

const SECRET = 'gëheim-🔑-0123456789abcdef0123456789';
const dir = ownDirectory();

const secretFile = join(dir, 'secret');
const bodies = {
  event: Buffer.from('{"event":"session.completed","text":"ルイ・ヴィトン"}\r\n'),
  empty: Buffer.alloc(0),
  binary: randomBytes(100_000),
};
beforeAll(() => {
  writeFileSync(secretFile, `${SECRET}\r\n`);
  for (const [name, content] of Object.entries(bodies)) writeFileSync(join(dir, name), content);
});

/** What `openssl` printed for the event; the tests need it where openssl is missing too. */
const EVENT_BY_OPENSSL = 'SHA256:nP6V6di55RbyH29Vb/6lRbW9sXKAWuVeoFKYj3FI8yc=';

function openssl(body: string): string {
  const hexKey = Buffer.from(SECRET).toString('hex');
  const args = ['dgst', '-sha256', '-mac', 'HMAC', '-macopt', `hexkey:${hexKey}`, '-binary', body];
  return `SHA256:${execFileSync('openssl', args).toString('base64')}`;
}

describe.each(Object.entries(bodies))('a body: %s', (name, content) => {
  const body = join(dir, name);

  test.skipIf(!haveTools('openssl'))(
    'sign prints what openssl computes, from a file and from standard input',
    async () => {
      const expected = openssl(body);
      const fromFile = await callCommand(['sign', '--secret-file', secretFile, body]);
      expect(fromFile).toMatchObject({ code: 0, stdout: `${expected}\n` });
      const env = { WEBHOOK_ENDPOINT_SECRET_KEY: SECRET };
      const fromPipe = await callCommand(['sign', '--header'], { env, stdin: content });
      expect(fromPipe).toMatchObject({ code: 0, stdout: `Entrupy-Signature: ${expected}\n` });
      const named = await callCommand(['sign', '--secret-env', 'OTHER', '-'], {
        env: { OTHER: SECRET },
        stdin: content,
      });
      expect(named).toMatchObject({ code: 0, stdout: `${expected}\n` });
    },
  );

  test('verify takes the line that sign --header prints', async () => {
    const { stdout: header } = await callCommand(['sign', '--header', '--secret-file', secretFile, body]);
    const verified = await callCommand(['verify', '--signature', header, '--secret-file', secretFile, body]);
    expect(verified).toEqual({ code: 0, stdout: 'valid\nsecret: file\n', stderr: '' });
    const changed = Buffer.concat([content, Buffer.from(' !')]);
    const tampered = await callCommand(['verify', '--signature', header, '--secret-file', secretFile], {
      stdin: changed,
    });
    expect(tampered).toMatchObject({ code: 1, stderr: '' });
    expect(tampered.stdout).toMatch(/^invalid: signature_mismatch\nhint: /);
  });
});

describe('sign', () => {
  test('takes a secret from a pipe, as <(pass show hook) gives it', () => {
    const script = '"$0" "$1" sign --secret-file <(printf "%s\\n" "$2") "$3"';
    const args = ['-c', script, process.execPath, PROGRAM, SECRET, join(dir, 'event')];
    const { stdout, status } = spawnSync('bash', args, { encoding: 'utf8' });
    expect({ stdout, status }).toEqual({ stdout: `${EVENT_BY_OPENSSL}\n`, status: 0 });
  });

  test('warns of a short secret and of an empty body, and still signs', async () => {
    const { code, stdout, stderr } = await callCommand(['sign', '--secret-env', 'S'], { env: { S: 'x' } });
    expect({ code, stderr }).toEqual({
      code: 0,
      stderr:
        'warning: the secret from env S: it is shorter than 16 bytes and too easy to guess\nwarning: the body is empty\n',
    });
    expect(stdout).toMatch(/^SHA256:[A-Za-z0-9+/]{43}=\n$/);
  });

  test('refuses an input that does not end', () => {
    const { status, stderr } = spawnSync(process.execPath, [PROGRAM, 'sign', '/dev/zero'], {
      env: { WEBHOOK_ENDPOINT_SECRET_KEY: SECRET },
      encoding: 'utf8',
    });
    expect({ status, stderr }).toEqual({
      status: 2,
      stderr: 'entrupy-signature-proxy sign: the body from /dev/zero is larger than 64 MiB\n',
    });
  });
});
