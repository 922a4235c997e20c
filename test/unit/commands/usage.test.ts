// Command lines: each mistake is one readable line and exit code 2, in every command that takes options this way.
import { describe, expect, test } from 'vitest';
import { OPTIONS } from '../../../src/commands/options.ts';
import { NAMES } from '../../../src/config/variables.ts';
import { callCommand } from '../../support/proxy/command.ts';

const HAVE_HEADER = new Set(['sign', 'explain']);
const ENV = { WEBHOOK_ENDPOINT_SECRET_KEY: 'a-secret-of-thirty-two-bytes-ok!' };

describe.each(Object.keys(OPTIONS))('%s', (name) => {
  test('--help and -h print only the help, whatever else is given', async () => {
    for (const argv of [['--help'], ['-h'], ['--help=1'], ['--nonsense', '--help']]) {
      const stdout = expect.stringMatching(new RegExp(`^Usage: entrupy-signature-proxy ${name} [^]*\n$`));
      expect(await callCommand([name, ...argv])).toEqual({ code: 0, stdout, stderr: '' });
    }
  });

  test.each(['--hedaer', '--__proto__=1', '-x'])('%s', async (option) => {
    const meant = option === '--hedaer' && HAVE_HEADER.has(name) ? '; did you mean --header?' : '';
    await expectRefusal(name, option, `Unknown option '${option.replace('=1', '')}'${meant}; see --help`);
  });
});

test('the help is the section of docs/commands.md, which has each option: an image holds no docs', async () => {
  for (const [name, options] of Object.entries(OPTIONS)) {
    const { stdout } = await callCommand([name, '--help']);
    const listed = [...stdout.matchAll(/^- --([\w-]+)/gm)].map(([, option]) => option);
    expect(listed.toSorted(), name).toEqual([...Object.keys(options), 'help'].toSorted());
    expect(stdout, name).toMatch(/^Exit codes: 0 \(/m);
    expect(stdout, name).not.toMatch(/`|\\|\]\(|\*\*/);
  }
});

test('the help of serve says what each variable means', async () => {
  const { stdout } = await callCommand(['serve', '--help']);
  expect(stdout.match(/(?<=^- )[A-Z][A-Z_]+(?=: )/gm)).toEqual(NAMES);
});

test.each<[name: string, args: string, message: string]>([
  ['sign', '--header=yes', "Option '--header' does not take an argument"],
  ['sign', '--secret-file', "Option '--secret-file <value>' argument missing"],
  ['sign', '--secret-file=', 'option --secret-file has an empty value'],
  ['sign', 'a b', 'too many arguments: at most 1 beside the options'],
  ['sign', '--secret-file a --secret-env b', 'give --secret-file or --secret-env, not both'],
  ['sign', '--secret-env NONE', 'the secret from env (name hidden) cannot be used: the variable is not set'],
  ['sign', '--secret-file /none', 'the secret from file /none cannot be used: it does not exist'],
  ['verify', '', 'give --signature or --request'],
  ['verify', '--request a b', '--request holds the body, so give no BODY'],
  ['capture', '--for never', '--for takes a duration such as 250ms, 5s, 2m or 24h'],
  ['capture', '--for 0', '--for takes a duration from 1ms to 24h'],
  ['capture', '--count ten', '--count takes a number from 1 to 10000'],
  ['verify', '--signature x --config a --secret-env b', 'give --config or a secret, not both'],
  ['serve', 'extra', 'too many arguments: at most 0 beside the options'],
  ['serve', '--hepl', "Unknown option '--hepl'; did you mean --help?"],
  ['check', '--wait 5', '--wait takes a duration such as 250ms, 5s, 2m or 24h'],
  ['explain', 'POST', 'METHOD and TARGET are both required, or a DIAGNOSIS'],
  ['explain', 'post /x', '"post" is not a method: methods are upper case, such as GET or POST'],
  ['demo', '--port 1', '--port and --host need --upstream-only'],
  ['demo', '--upstream-only --port 99999', '--port "99999" is not a port'],
  ['demo', '--upstream-only --once', 'give --once or --upstream-only, not both'],
  ['deferred', 'fetch', 'the action must be list, show, deliver or drop'],
  ['deferred', 'constructor', 'the action must be list, show, deliver or drop'],
  ['deferred', 'show', 'show needs an ID'],
  ['deferred', 'list a', 'list takes no ID'],
  ['deferred', 'show ../../etc/passwd', 'an ID has only a-z, 0-9 and "-"'],
  ['deferred', 'show a b', 'too many arguments: at most 2 beside the options'],
  ['probe', '', 'give --url or a TARGET'],
  ['probe', '--url http://x /notify', 'give --url or a TARGET'],
  ['probe', 'http://x', 'TARGET must begin with /'],
  ['probe', '/a /b', 'too many arguments: at most 1 beside the options'],
  ['probe', '--url http://x --config a', 'give --url or --config, not both'],
  ['probe', '/notify --unsigned --secret-env NONE', 'give --unsigned or a secret, not both'],
  ['probe', '--url nowhere', "--url must be an http:// or https:// URL, not 'nowhere'"],
  ['probe', '--url http://me:pw@x/', '--url must not hold a user or password'],
  ['probe', '--url http://x/ --expect ok', "--expect takes a status from 100 to 599, not 'ok'"],
  ['probe', '--url http://x/ --expect 1 --expect-not 2', 'give --expect or --expect-not, not both'],
])('%s %s', async (name, args, message) => expectRefusal(name, args, `${message}; see --help`));

test.each([
  ['check-config', ''],
  ['verify', '--signature x'],
  ['explain', 'POST /x'],
] as const)('%s %s with a configuration that cannot be used', async (name, args) => {
  const argv = [...args.split(' '), '--config', '/none'].filter((arg) => arg !== '');
  expect(await callCommand([name, ...argv])).toMatchObject({
    code: 2,
    stderr: expect.stringMatching(/^\/none: cannot be read: it does not exist\n/),
  });
});

async function expectRefusal(name: string, args: string, message: string): Promise<void> {
  const argv = args.split(' ').filter((arg) => arg !== '');
  const stderr = `entrupy-signature-proxy ${name}: ${message}\n`;
  expect(await callCommand([name, ...argv], { env: ENV })).toEqual({ code: 2, stdout: '', stderr });
}

test('a value that starts with - can be given with =', async () => {
  const stderr = expect.stringContaining('the secret from file -odd cannot be used: it does not exist');
  expect(await callCommand(['sign', '--secret-file=-odd', '-'])).toEqual({ code: 2, stdout: '', stderr });
  expect(await callCommand(['sign', '--secret-file', '-odd'])).toMatchObject({ code: 2 });
});
