// Runs one command of the program to its end and returns all of its output: as a user would, or in this process.
import { Readable } from 'node:stream';
import { plainText } from '../../../src/base/printable.ts';
import { COMMANDS } from '../../../src/commands/all.ts';
import type { Run } from '../../../src/commands/command.ts';
import { tied } from '../machine/children.ts';
import { type Ran, type RunOptions, run } from '../machine/tools.ts';
import { patience } from '../runner/patience.ts';
import { PROGRAM, PROGRAM_ENV } from './program.ts';

/** `env` is the whole environment apart from PATH; `flags` are Node's, before the program's file. */
type CommandOptions = Pick<RunOptions, 'env' | 'stdin' | 'cwd' | 'timeout'> & { readonly flags?: readonly string[] };

export function runCommand(args: readonly string[], { flags = [], ...options }: CommandOptions = {}): Promise<Ran> {
  const [program = '', ...words] = tied(process.execPath, ...flags, PROGRAM, ...args);
  const wholeEnv = { ...PROGRAM_ENV, ...options.env };
  return run(program, words, { timeout: patience(), ...options, wholeEnv });
}

/** Like `runCommand`, but in this process, in a tenth of the time: not for `serve` and `demo`, which listen for signals. */
export async function callCommand(args: readonly string[], options: CommandOptions = {}): Promise<Ran> {
  const [name = '', ...rest] = args;
  const command = await COMMANDS.get(name)?.();
  if (command === undefined) throw new Error(`there is no command ${name}`);
  return ran(command.run, rest, options);
}

/** Runs a command to its end. Bytes on stdout are one character each. */
export async function ran(run: Run, argv: readonly string[], { env = {}, stdin = '' }: CommandOptions = {}) {
  const printed = { stdout: '', stderr: '' };
  const code = await run(argv, {
    env,
    paint: plainText,
    stdin: () => Readable.from([Buffer.from(stdin)]),
    stdout: (data) => {
      printed.stdout += typeof data === 'string' ? data : Buffer.from(data).toString('latin1');
    },
    stderr: (text) => {
      printed.stderr += text;
    },
  });
  return { code, ...printed };
}
