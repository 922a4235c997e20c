import { expect } from 'vitest';
import { VERSION } from '../../src/base/default-places.ts';
import { callCommand, runCommand } from '../support/proxy/command.ts';
import { test } from '../support/proxy/proxied.ts';

test('a command that does not exist, or is no command', async () => {
  const stderr = 'entrupy-signature-proxy: there is no command "__proto__"; see --help\n';
  expect(await runCommand(['__proto__'])).toEqual({ code: 2, stdout: '', stderr });
  const near = 'entrupy-signature-proxy: there is no command "chek"; did you mean check?; see --help\n';
  expect(await runCommand(['chek'])).toEqual({ code: 2, stdout: '', stderr: near });
});

test('help of a command is its --help, and version is --version', async () => {
  expect(await runCommand(['help', 'check'])).toEqual(await callCommand(['check', '--help']));
  expect(await runCommand(['version'])).toEqual({ code: 0, stdout: `${VERSION}\n`, stderr: '' });
});
