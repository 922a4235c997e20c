// Shared by every command: parsing of the command line, the exit code for usage errors, I/O, and tables of text. Tests run a command with
// their own Io, without a process. A usage error must never print a stack trace.
import { createReadStream } from 'node:fs';
import { parseArgs } from 'node:util';
import { type Paint, painter } from '../base/colour.ts';
import { fileProblem } from '../base/errors.ts';
import type { Env } from '../config/environment.ts';
import { type Definition, helpOf, type Options } from './definition.ts';

export interface Io {
  /** Bytes go out as they are. */
  readonly stdout: (data: string | Uint8Array) => void;
  /** Colours a text for stdout if that is a terminal. */
  readonly paint: Paint;
  readonly stderr: (text: string) => void;
  readonly env: Env;
  /** Reads standard input to its end; throws UsageError past MAX_BODY_BYTES. */
  readonly stdin: () => Promise<Buffer>;
}

/** The command cannot do what the user asked: one line on stderr, exit code 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** A usage error; the message points to `--help`. */
export function usageError(text: string): UsageError {
  return new UsageError(`${text}; see --help`);
}

/** Returns the exit code: 2 for unusable input, such as a bad configuration. Rejects only on an unexpected error. */
export type Run = (argv: readonly string[], io: Io) => Promise<number>;

export function command<const O extends Options>(
  definition: Definition<O>,
  body: (given: ReturnType<typeof parse<O>>, io: Io) => Promise<number>,
): Run {
  return async (argv, io) => {
    const end = argv.indexOf('--');
    if (argv.slice(0, end === -1 ? argv.length : end).some((arg) => /^(?:-h|--help(?:=.*)?)$/s.test(arg))) {
      io.stdout(helpOf(definition));
      return 0;
    }
    try {
      return await body(parse(definition, argv), io);
    } catch (error) {
      // Compared by name: `healthcheck` must never load these classes, which are parts of the proxy.
      const isInput = error instanceof Error && ['ConfigError', 'RulesetError'].includes(error.name);
      if (!isInput && !(error instanceof UsageError)) throw error;
      const prefix = isInput ? '' : `entrupy-signature-proxy ${definition.name}: `;
      io.stderr(`${prefix}${error.message}\n`);
      return 2;
    }
  };
}

/** The options that were given, by the definition of the command. */
export type ValuesOf<D extends Definition> = ReturnType<typeof parse<D['options']>>['values'];

function parse<O extends Options>({ options, positionals: names = [] }: Definition<O>, argv: readonly string[]) {
  try {
    const given = parseArgs({ args: [...argv], options, allowPositionals: true, tokens: true });
    const seen = new Set<string>();
    for (const token of given.tokens) {
      if (token.kind !== 'option') continue;
      if (token.value === '') throw usageError(`option ${token.rawName} has an empty value`);
      if (seen.has(token.name) && options[token.name]?.multiple !== true) {
        throw usageError(`option ${token.rawName} is given twice`);
      }
      seen.add(token.name);
    }
    // The argument itself stays out of the message: people paste secrets and signatures here.
    if (given.positionals.length > names.length) {
      throw usageError(`too many arguments: expected ${names.join(' and ') || 'none'}`);
    }
    return given;
  } catch (error) {
    if (!(error instanceof Error) || error instanceof UsageError) throw error;
    // Node names the option, never its value. Its advice about positional arguments is cut off.
    throw usageError(error.message.replace(/\. To specify a positional.*|\.$/s, '').replaceAll('\n', ' '));
  }
}

/** The longest body that a command reads: far longer than any delivery, far below a container's memory. */
const MAX_BODY_BYTES = 64 * 1024 * 1024;

export function processIo(process: NodeJS.Process): Io {
  // An error belongs to the write that failed. Without these listeners Node would end the process for any of them.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {});
  return {
    stdout: (data) => process.stdout.write(data, exitIfLost),
    stderr: (text) => process.stderr.write(text),
    env: process.env,
    paint: painter(process.stdout, process.env),
    stdin: () => {
      if (process.stdin.isTTY) process.stderr.write('reading the body from the terminal; end it with Ctrl-D\n');
      return collect(process.stdin, 'the body from standard input');
    },
  };
}

/** `sign > file` on a full disk must not exit with 0. `… | head -1` closes the output early, which is no failure. */
function exitIfLost(error: NodeJS.ErrnoException | null | undefined): void {
  if (!error || error.code === 'EPIPE') return;
  process.stderr.write(`entrupy-signature-proxy: cannot write to standard output: ${error.code}\n`);
  process.exit(1);
}

/** Reads a whole body: a file, or standard input for `-` and for no argument. Throws UsageError. */
export async function readBody(file: string | undefined, io: Io): Promise<Buffer> {
  if (file === undefined || file === '-') return io.stdin();
  try {
    return await collect(createReadStream(file), `the body from ${file}`);
  } catch (error) {
    if (error instanceof UsageError) throw error;
    throw new UsageError(`cannot read the body from ${file}: ${fileProblem(error)}`);
  }
}

/** Reads a stream to its end; throws UsageError past MAX_BODY_BYTES. */
export async function collect(stream: AsyncIterable<Buffer>, name: string): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of stream) {
    bytes += chunk.length;
    if (bytes > MAX_BODY_BYTES) throw new UsageError(`${name} is larger than 64 MiB`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, bytes);
}
