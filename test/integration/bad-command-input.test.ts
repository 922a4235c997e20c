// What the program cannot use is one readable line and exit 2, never a stack trace or a secret; test/unit/commands/usage.test.ts
// has the commands' own.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'vitest';
import { runCommand } from '../support/proxy/command.ts';
import { test } from '../support/proxy/proxied.ts';

test('a command that does not exist, or is no command', async () => {
  const stderr = 'entrupy-signature-proxy: there is no command "__proto__"; see --help\n';
  expect(await runCommand(['__proto__'])).toEqual({ code: 2, stdout: '', stderr });
  const near = 'entrupy-signature-proxy: there is no command "chek"; did you mean check?; see --help\n';
  expect(await runCommand(['chek'])).toEqual({ code: 2, stdout: '', stderr: near });
});

test('a secret pasted into the configuration of `serve`, the default command', async ({ directory }) => {
  const secret = 'a-secret-that-nobody-may-see-printed';
  const file = join(directory, 'pasted.yaml');
  await writeFile(file, `secrets:\n  - id: current\n    value: ${secret}\n`);
  const { code, stdout, stderr } = await runCommand(['--config', file]);
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
  expect(stderr).toMatch(/^\S*pasted\.yaml:3:5: secrets\[0\]: unknown key \(not shown\)[^\n]*\n$/);
  expect(stderr).not.toContain(secret);
});
