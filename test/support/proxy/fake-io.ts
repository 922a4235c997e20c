// An Io without a process: it records a command's output and supplies its input.
import { plainText } from '../../../src/base/colour.ts';
import type { Io } from '../../../src/commands/command-line.ts';

export interface FakeIo extends Io {
  readonly printed: { stdout: string; stderr: string };
}

export function fakeIo({
  env = {},
  stdin = '',
}: {
  readonly env?: Readonly<Record<string, string>>;
  readonly stdin?: string | Buffer;
} = {}): FakeIo {
  const printed = { stdout: '', stderr: '' };
  return {
    printed,
    env,
    paint: plainText,
    stdin: async () => Buffer.from(stdin),
    stdout: (text) => {
      printed.stdout += text;
    },
    stderr: (text) => {
      printed.stderr += text;
    },
  };
}
