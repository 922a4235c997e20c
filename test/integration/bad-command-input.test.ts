// Bad input to each command gives one readable line and the right exit code, never a stack trace or a secret.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { ownDirectory } from '../support/machine/files.ts';
import { callCommand } from '../support/proxy/command.ts';

const SECRET = 'a-secret-that-nobody-may-see-printed';
const directory = ownDirectory();
beforeAll(async () => {
  await writeFile(join(directory, 'broken.yaml'), 'listen: { port: 8080\n');
  await writeFile(join(directory, 'unknown.yaml'), 'upstreem:\n  url: http://127.0.0.1:1\n');
  await writeFile(join(directory, 'pasted.yaml'), `secrets:\n  - id: current\n    value: ${SECRET}\n`);
  await writeFile(join(directory, 'binary.yaml'), Buffer.from([0xff, 0xfe, 0x00]));
  await writeFile(join(directory, 'empty.key'), '');
});

const BAD: readonly (readonly [command: string, code: number, says: RegExp])[] = [
  ['nonsense', 2, /there is no command "nonsense"/],
  ['__proto__', 2, /there is no command/],
  ['--nonsense', 2, /nonsense/],
  ['serve extra', 2, /see --help/],
  ['serve --config', 2, /--config/],
  ['serve --config D/missing.yaml', 2, /missing\.yaml: cannot be read: it does not exist/],
  ['serve --config D', 2, /it is a directory/],
  ['serve --config D/broken.yaml', 2, /broken\.yaml:\d+:\d+: /],
  ['serve --config D/unknown.yaml', 2, /unknown\.yaml:1:1: upstreem: .*did you mean "upstream"/],
  ['serve --config D/pasted.yaml', 2, /pasted\.yaml:\d+:\d+: secrets\[0\]/],
  ['serve --config D/binary.yaml', 2, /not UTF-8/],
  ['check-config --nonsense', 2, /nonsense.*--help\n$/],
  ['check-config --config D/unknown.yaml', 2, /did you mean "upstream"/],
  ['check-config --config D/pasted.yaml', 2, /secrets\[0\]/],
  ['check --wait 5', 2, /: --wait takes a duration such as 250ms, 5s, 2m or 24h; see --help\n$/],
  ['check extra', 2, /: too many arguments: expected none; see --help\n$/],
  ['sign', 2, /WEBHOOK_ENDPOINT_SECRET_KEY/],
  ['sign --secret-file D/empty.key', 2, /empty/],
  ['verify --signature x', 2, /secret/i],
  ['verify --signature x --secret-file D/missing', 2, /missing/],
  ['verify --signature x --config D/broken.yaml', 2, /broken\.yaml/],
  ['explain', 2, /METHOD and TARGET/],
  ['explain POST', 2, /METHOD and TARGET/],
  ['explain post /x', 2, /upper case/],
  ['explain POST /x --config D/broken.yaml', 2, /broken\.yaml/],
  ['probe --url http://127.0.0.1:1/', 1, /127\.0\.0\.1/],
  ['demo --port 1', 2, /--upstream-only/],
  ['demo --upstream-only --port 99999', 2, /is not a port/],
  ['demo --upstream-only --once', 2, /not both/],
];

test.each(BAD)('%s fails with a sentence, and no stack', async (command, code, says) => {
  const args = command.split(' ').map((word) => word.replace(/^D(?=\/|$)/, directory));
  const result = await callCommand(args, { stdin: '' });
  expect(result.code).toBe(code);
  expect(result.stdout + result.stderr).toMatch(says);
  expect(result.stdout + result.stderr).not.toMatch(/\n\s+at |node:internal|Error:/);
  expect(result.stdout + result.stderr).not.toContain(SECRET);
  expect((result.stderr || result.stdout).trim().split('\n').length).toBeLessThanOrEqual(2);
});

test.each(['serve', 'check-config', 'check', 'explain', 'demo'])(
  '%s --help answers on stdout with 0',
  async (command) => {
    const { code, stdout, stderr } = await callCommand([command, '--help'], {});
    expect(code).toBe(0);
    expect(stdout).toMatch(/^Usage: entrupy-signature-proxy /);
    expect(stderr).toBe('');
  },
);
