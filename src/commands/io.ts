// What a command may touch of the outside: two streams out, one in, the environment. Commands take it as an argument,
// so that tests run them without a process. It must never read without a bound.
import { createReadStream } from 'node:fs';
import { UsageError } from './usage.ts';

export interface Io {
  readonly stdout: (text: string) => void;
  readonly stderr: (text: string) => void;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Reads standard input to its end; throws UsageError past MAX_BODY_BYTES. */
  readonly stdin: () => Promise<Buffer>;
}

/** The most that a command reads of a body, in bytes: far above any delivery, far below a container's memory. */
export const MAX_BODY_BYTES = 64 * 1024 * 1024;

/** The process's own streams and environment. */
export function processIo(process: NodeJS.Process): Io {
  // `… | head -1` closes our output early; without a listener that is a stack trace.
  process.stdout.on('error', passOverClosedPipe);
  process.stderr.on('error', passOverClosedPipe);
  return {
    stdout: (text) => process.stdout.write(text),
    stderr: (text) => process.stderr.write(text),
    env: process.env,
    stdin: () => {
      if (process.stdin.isTTY) process.stderr.write('reading the body from the terminal; Ctrl-D ends it\n');
      return collect(process.stdin, 'the body from standard input');
    },
  };
}

function passOverClosedPipe(error: Error): void {
  if (!('code' in error) || error.code !== 'EPIPE') throw error;
}

/** Reads a body whole: a file, or standard input for `-` and for no argument. Throws UsageError in one readable line. */
export async function readBody(arg: string | undefined, io: Io): Promise<Buffer> {
  if (arg === undefined || arg === '-') return io.stdin();
  try {
    return await collect(createReadStream(arg), `the body from ${arg}`);
  } catch (error) {
    if (error instanceof UsageError) throw error;
    throw new UsageError(`cannot read the body from ${arg}: ${fileTrouble(error)}`);
  }
}

/** What went wrong with a file, in words, from a system error. */
export function fileTrouble(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  switch (code) {
    case 'ENOENT':
      return 'there is no such file';
    case 'EISDIR':
      return 'it is a directory, not a file';
    case 'EACCES':
    case 'EPERM':
      return 'permission denied';
    default:
      return code === '' ? 'it could not be read' : `it could not be read (${code})`;
  }
}

/** Reads a stream to its end; throws UsageError past MAX_BODY_BYTES. */
export async function collect(stream: AsyncIterable<unknown>, name: string): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of stream) {
    const piece = Buffer.isBuffer(chunk) ? chunk : Buffer.from(String(chunk));
    bytes += piece.length;
    if (bytes > MAX_BODY_BYTES) throw new UsageError(`${name} is larger than 64 MiB`);
    chunks.push(piece);
  }
  return Buffer.concat(chunks, bytes);
}
