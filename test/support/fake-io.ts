// An Io without a process: what a command prints is kept, what it reads is given.
import type { Io } from '../../src/commands/command-line.ts';

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
    stdin: async () => Buffer.from(stdin),
    stdout: (text) => {
      printed.stdout += text;
    },
    stderr: (text) => {
      printed.stderr += text;
    },
  };
}
