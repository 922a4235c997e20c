// `sign` with files and pipes, checked against an HMAC that is not Node's. That everybody's libraries sign so, too:
// test/integration/app-page.test.ts.
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { ownDirectory } from '../support/machine/files.ts';
import { callCommand } from '../support/proxy/command.ts';
import { PROGRAM } from '../support/proxy/program.ts';

const SECRET = 'gëheim-🔑-0123456789abcdef0123456789';
const EVENT = Buffer.from('{"event":"session.completed","text":"ルイ・ヴィトン"}\r\n');
/** What `openssl` printed for it. */
const BY_OPENSSL = 'SHA256:nP6V6di55RbyH29Vb/6lRbW9sXKAWuVeoFKYj3FI8yc=';
const directory = ownDirectory();
const [secretFile, body] = [join(directory, 'secret'), join(directory, 'event')];
beforeAll(() => {
  writeFileSync(secretFile, `${SECRET}\r\n`);
  writeFileSync(body, EVENT);
});

test('sign prints what openssl computed, from a file, from standard input and from a pipe of the shell', async () => {
  const stdout = `${BY_OPENSSL}\n`;
  expect(await callCommand(['sign', '--secret-file', secretFile, body])).toMatchObject({ code: 0, stdout });
  const fromPipe = await callCommand(['sign', '--header'], {
    env: { WEBHOOK_ENDPOINT_SECRET_KEY: SECRET },
    stdin: EVENT,
  });
  expect(fromPipe).toMatchObject({ code: 0, stdout: `Entrupy-Signature: ${stdout}` });
  const named = await callCommand(['sign', '--secret-env', 'OTHER', '-'], { env: { OTHER: SECRET }, stdin: EVENT });
  expect(named).toMatchObject({ code: 0, stdout });
  const script = '"$0" "$1" sign --secret-file <(printf "%s\\n" "$2") "$3"';
  const shell = spawnSync('bash', ['-c', script, process.execPath, PROGRAM, SECRET, body], { encoding: 'utf8' });
  expect(shell).toMatchObject({ stdout, status: 0 });
});

test('sign warns of a short secret and of an empty body, and still signs', async () => {
  const { code, stdout, stderr } = await callCommand(['sign', '--secret-env', 'S'], { env: { S: 'x' } });
  expect({ code, stderr }).toEqual({
    code: 0,
    stderr:
      'warning: the secret from env S: it is shorter than 16 bytes and too easy to guess\nwarning: the body is empty\n',
  });
  expect(stdout).toMatch(/^SHA256:[A-Za-z0-9+/]{43}=\n$/);
});

test('sign refuses an input that does not end', async () => {
  const stderr = 'entrupy-signature-proxy sign: the body from /dev/zero is larger than 64 MiB\n';
  const env = { WEBHOOK_ENDPOINT_SECRET_KEY: SECRET };
  expect(await callCommand(['sign', '/dev/zero'], { env })).toEqual({ code: 2, stdout: '', stderr });
});
