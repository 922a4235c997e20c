// Command lines: each mistake is one readable line and exit code 2, in every command that takes options this way.
import { describe, expect, test } from 'vitest';
import { command } from '../../../src/commands/command-line.ts';
import * as deferred from '../../../src/commands/deferred/deferred.ts';
import * as healthcheck from '../../../src/commands/healthcheck.ts';
import * as probe from '../../../src/commands/probe.ts';
import * as sign from '../../../src/commands/sign.ts';
import * as verify from '../../../src/commands/verify.ts';
import { fakeIo } from '../../support/proxy/fake-io.ts';

const COMMANDS = { sign, verify, probe, healthcheck, deferred };
const ENV = { WEBHOOK_ENDPOINT_SECRET_KEY: 'a-secret-of-thirty-two-bytes-ok!' };

describe.each(Object.entries(COMMANDS))('%s', (name, { run }) => {
  test('--help and -h print only the help, whatever else is given', async () => {
    for (const argv of [['--help'], ['-h'], ['--nonsense', '--help']]) {
      const io = fakeIo();
      expect(await run(argv, io)).toBe(0);
      expect(io.printed.stdout).toMatch(new RegExp(`^Usage: entrupy-signature-proxy ${name} [^]*\n$`));
      expect(io.printed.stderr).toBe('');
    }
  });

  test.each([
    [['--hedaer'], "Unknown option '--hedaer'; see --help"],
    [['--__proto__=1'], "Unknown option '--__proto__'; see --help"],
    [['-x'], "Unknown option '-x'; see --help"],
    [['--help=1'], undefined],
  ])('%j', async (argv, message) => {
    const io = fakeIo({ env: ENV });
    const code = await run(argv, io);
    if (message === undefined) return expect(code).toBe(0);
    expect(code).toBe(2);
    expect(io.printed).toEqual({ stdout: '', stderr: `entrupy-signature-proxy ${name}: ${message}\n` });
  });
});

test.each<[keyof typeof COMMANDS, string[], string]>([
  ['sign', ['--header=yes'], "Option '--header' does not take an argument; see --help"],
  ['sign', ['--secret-file'], "Option '--secret-file <value>' argument missing; see --help"],
  [
    'sign',
    ['--secret-file', '--header'],
    "Option '--secret-file' argument is ambiguous. Did you forget to specify the option argument for '--secret-file'? To specify an option argument starting with a dash use '--secret-file=-XYZ'; see --help",
  ],
  ['sign', ['--secret-file='], 'option --secret-file has an empty value; see --help'],
  ['sign', ['--header', '--header'], 'option --header is given twice; see --help'],
  ['sign', ['a', 'b'], 'too many arguments: expected BODY; see --help'],
  ['sign', ['--secret-file', 'a', '--secret-env', 'b'], 'give --secret-file or --secret-env, not both; see --help'],
  [
    'sign',
    ['--secret-env', 'NONE'],
    'the secret from env (name hidden) cannot be used: the variable is not set; see --help',
  ],
  ['sign', ['--secret-file', '/none'], 'the secret from file /none cannot be used: it does not exist; see --help'],
  ['sign', ['/none'], 'cannot read the body from /none: it does not exist'],
  ['sign', ['/'], 'cannot read the body from /: it is a directory, not a file'],
  ['sign', ['--', '--header'], 'cannot read the body from --header: it does not exist'],
  ['verify', [], '--signature is required; see --help'],
  [
    'verify',
    ['--signature', 'x', '--config', 'a', '--secret-env', 'b'],
    'give --config or a secret, not both; see --help',
  ],
  ['deferred', ['fetch'], 'the action must be list, show, deliver or drop; see --help'],
  ['deferred', ['constructor'], 'the action must be list, show, deliver or drop; see --help'],
  ['deferred', ['show'], 'show needs an ID; see --help'],
  ['deferred', ['drop', '--json'], 'drop needs an ID; see --help'],
  ['deferred', ['list', 'a'], 'list takes no ID; see --help'],
  ['deferred', ['show', '../../etc/passwd'], 'an ID has only a-z, 0-9 and "-"; see --help'],
  ['deferred', ['deliver', 'A'], 'an ID has only a-z, 0-9 and "-"; see --help'],
  ['deferred', ['show', 'a', 'b'], 'too many arguments: expected ACTION and ID; see --help'],
  ['probe', [], '--url is required; see --help'],
  ['probe', ['http://x'], 'too many arguments: expected none; see --help'],
  ['probe', ['--url', 'nowhere'], "--url must be an http:// or https:// URL, not 'nowhere'; see --help"],
  ['probe', ['--url', 'ftp://x/'], "--url must be an http:// or https:// URL, not 'ftp://x/'; see --help"],
  ['probe', ['--url', 'http://me:pw@x/'], '--url must not hold a user or password; see --help'],
  ['probe', ['--url', 'http://x/', '--expect', 'ok'], "--expect takes a status from 100 to 599, not 'ok'; see --help"],
  [
    'probe',
    ['--url', 'http://x/', '--expect', '1', '--expect-not', '2'],
    'give --expect or --expect-not, not both; see --help',
  ],
])('%s %j', async (name, argv, message) => {
  const io = fakeIo({ env: ENV });
  expect(await COMMANDS[name].run(argv, io)).toBe(2);
  expect(io.printed).toEqual({ stdout: '', stderr: `entrupy-signature-proxy ${name}: ${message}\n` });
});

test('a value that starts with - can be given with =', async () => {
  const shape = {
    name: 'x',
    ...{ usage: '', about: '', exits: [] },
    options: { file: { type: 'string', does: '' }, flag: { type: 'boolean', does: '' } },
    positionals: ['A'],
  } as const;
  const run = command(shape, async ({ values, positionals }, io) => {
    io.stdout(JSON.stringify([values, positionals]));
    return 0;
  });
  const io = fakeIo();
  expect(await run(['--file=-odd', '--flag', '-'], io)).toBe(0);
  expect(JSON.parse(io.printed.stdout)).toEqual([{ file: '-odd', flag: true }, ['-']]);
  expect(await run(['--file', '-odd'], io)).toBe(2);
});
