// Runs one command of the program to its end and returns all of its output: as a user would, or in this process.
import { COMMANDS } from '../../../src/commands/all.ts';
import { spawnTied } from '../machine/children.ts';
import { patience } from '../runner/patience.ts';
import { ran } from './fake-io.ts';
import { PROGRAM, PROGRAM_ENV } from './program.ts';

export interface CommandResult {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CommandOptions {
  /** The whole environment apart from PATH. */
  readonly env?: Readonly<Record<string, string>>;
  readonly stdin?: string | Buffer;
  readonly cwd?: string;
}

/** Resolves with the exit code, or null if it had to be killed. */
export function runCommand(args: readonly string[], options: CommandOptions = {}): Promise<CommandResult> {
  const child = spawnTied(process.execPath, [PROGRAM, ...args], {
    env: { ...PROGRAM_ENV, ...options.env },
    ...(options.cwd !== undefined && { cwd: options.cwd }),
    stdio: ['pipe', 'pipe', 'pipe'],
    timeout: patience(),
    killSignal: 'SIGKILL',
  });
  let [stdout, stderr] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  // A command may end without reading its input.
  child.stdin.on('error', () => {});
  child.stdin.end(options.stdin ?? '');
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => resolve({ code, stdout, stderr }));
  });
}

/** Like `runCommand`, but in this process, in a tenth of the time: not for `serve` and `demo`, which listen for signals. */
export async function callCommand(args: readonly string[], options: CommandOptions = {}): Promise<CommandResult> {
  const [name = '', ...rest] = args;
  const command = await COMMANDS.get(name)?.();
  if (command === undefined) throw new Error(`there is no command ${name}`);
  return ran(command.run, rest, options);
}
