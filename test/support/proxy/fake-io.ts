// An Io without a process: it records a command's output and supplies its input.
import { Readable } from 'node:stream';
import { plainText } from '../../../src/base/printable.ts';
import type { Run } from '../../../src/commands/command.ts';

interface Input {
  readonly env?: Readonly<Record<string, string>>;
  readonly stdin?: string | Buffer;
}

/** Runs a command to its end. Bytes on stdout are one character each. */
export async function ran(run: Run, argv: readonly string[], { env = {}, stdin = '' }: Input = {}) {
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
