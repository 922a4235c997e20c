// Shared by all commands: input and output, and the exit code for usage errors. Tests run a command with their own Io,
// without a process. A usage error must never print a stack trace.
import { createReadStream } from 'node:fs';
import { type Paint, painter } from '../base/printable.ts';
import { fileProblem } from '../base/regular-file.ts';
import type { Env } from '../config/variables.ts';
import { type CommandName, type Given, parse, UsageError } from './options.ts';

export interface Io {
  /** Writes text, or bytes as they are. */
  readonly stdout: (data: string | Uint8Array) => void;
  /** Colours a text for stdout if that is a terminal. */
  readonly paint: Paint;
  readonly stderr: (text: string) => void;
  readonly env: Env;
  readonly stdin: () => AsyncIterable<Buffer>;
}

/** Returns the exit code: 2 for unusable input, such as a bad configuration. Rejects only on an unexpected error. */
export type Run = (argv: readonly string[], io: Io) => Promise<number>;

export function command<N extends CommandName>(name: N, body: (given: Given<N>, io: Io) => Promise<number>): Run {
  return async (argv, io) => {
    const end = argv.indexOf('--');
    if (argv.slice(0, end === -1 ? argv.length : end).some((arg) => /^(?:-h|--help(?:=.*)?)$/s.test(arg))) {
      io.stdout((await import('./help.ts')).helpOf(name));
      return 0;
    }
    try {
      return await body(parse(name, argv), io);
    } catch (error) {
      // Compared by name: `healthcheck` must never load that class, which is a part of the proxy.
      const isInput = error instanceof Error && error.name === 'ConfigError';
      if (!isInput && !(error instanceof UsageError)) throw error;
      const prefix = isInput ? '' : `entrupy-signature-proxy ${name}: `;
      io.stderr(`${prefix}${error.message}\n`);
      return 2;
    }
  };
}

// --- input and output of a process

/** The longest body that a command reads: far longer than any delivery, far below a container's memory. */
const MAX_BODY_BYTES = 64 * 1024 * 1024;

export function processIo(process: NodeJS.Process): Io {
  // The callback of a write handles its failure. Without these listeners, a failure would end the process, too.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {});
  return {
    stdout: (data) => process.stdout.write(data, exitIfLost),
    stderr: (text) => process.stderr.write(text),
    env: process.env,
    paint: painter(process.stdout, process.env),
    stdin: () => {
      if (process.stdin.isTTY) process.stderr.write('reading the body from the terminal; end it with Ctrl-D\n');
      return process.stdin;
    },
  };
}

/** `sign > file` on a full disk must not exit with 0. `… | head -1` closes the output early, which is no failure. */
function exitIfLost(error: NodeJS.ErrnoException | null | undefined): void {
  if (!error || error.code === 'EPIPE') return;
  process.stderr.write(`entrupy-signature-proxy: cannot write to standard output: ${error.code}\n`);
  process.exit(1);
}

/** Reads a whole body: a file, or standard input for `-`. Throws UsageError. */
export async function readBody(file = '-', io: Io): Promise<Buffer> {
  const source = `the body from ${file === '-' ? 'standard input' : file}`;
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of file === '-' ? io.stdin() : createReadStream(file)) {
      bytes += chunk.length;
      if (bytes > MAX_BODY_BYTES) throw new UsageError(`${source} is larger than 64 MiB`);
      chunks.push(chunk);
    }
  } catch (error) {
    throw error instanceof UsageError ? error : new UsageError(`cannot read ${source}: ${fileProblem(error)}`);
  }
  return Buffer.concat(chunks, bytes);
}

/** Lines whose columns are as wide as their widest cell, two spaces apart. */
export function table(rows: readonly (readonly string[])[]): readonly string[] {
  const widths = (rows[0] ?? []).map((_, column) =>
    rows.reduce((most, row) => Math.max(most, (row[column] ?? '').length), 0),
  );
  const pad = (cell: string, column: number) => cell.padEnd(widths[column] ?? 0);
  return rows.map((row) => row.map(pad).join('  ').trimEnd());
}
