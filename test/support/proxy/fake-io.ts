// An Io without a process: it records a command's output and supplies its input.
import { Readable } from 'node:stream';
import { plainText } from '../../../src/base/printable.ts';
import type { Io, Run } from '../../../src/commands/command.ts';

export interface FakeIo extends Io {
  /** Bytes on stdout are one character each. */
  readonly printed: { stdout: string; stderr: string };
}

interface Input {
  readonly env?: Readonly<Record<string, string>>;
  readonly stdin?: string | Buffer;
}

/** Runs a command to its end. */
export async function ran(run: Run, argv: readonly string[], input: Input = {}) {
  const io = fakeIo(input);
  const code = await run(argv, io);
  return { code, ...io.printed };
}

export function fakeIo({ env = {}, stdin = '' }: Input = {}): FakeIo {
  const printed = { stdout: '', stderr: '' };
  return {
    printed,
    env,
    paint: plainText,
    stdin: () => Readable.from([Buffer.from(stdin)]),
    stdout: (data) => {
      printed.stdout += typeof data === 'string' ? data : Buffer.from(data).toString('latin1');
    },
    stderr: (text) => {
      printed.stderr += text;
    },
  };
}
