// How each command reads its command line: `--help` answers with 0, a mistake with one readable line and 2.
// It must never let a mistake on the command line end in a stack trace.
import { parseArgs } from 'node:util';
import type { Io } from './io.ts';

/** What the user asked for cannot be done as asked: one line on stderr, exit code 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** A mistake on the command line itself, where `--help` is the cure. */
export function mistake(text: string): UsageError {
  return new UsageError(`${text}; see --help`);
}

type OptionKind = 'text' | 'texts' | 'flag';

/** The options of a command, by name without the dashes: `text` takes a value, `texts` may be repeated, `flag` takes none. */
export type OptionKinds = Readonly<Record<string, OptionKind>>;

export type OptionValues<K extends OptionKinds> = {
  readonly [N in keyof K]?: K[N] extends 'text' ? string : K[N] extends 'texts' ? readonly string[] : true;
};

export interface CommandShape<K extends OptionKinds> {
  readonly name: string;
  readonly help: string;
  readonly options: K;
  /** The names of the positional arguments, for messages; giving fewer of them is for the command to judge. */
  readonly positionals: readonly string[];
}

export interface CommandInput<K extends OptionKinds> {
  readonly values: OptionValues<K>;
  readonly positionals: readonly string[];
}

/** Runs `body` on the parsed command line; gives the exit code. Errors other than UsageError pass through. */
export async function runCommand<const K extends OptionKinds>(
  shape: CommandShape<K>,
  { argv, io }: { readonly argv: readonly string[]; readonly io: Io },
  body: (input: CommandInput<K>) => Promise<number>,
): Promise<number> {
  try {
    const input = parseCommand(shape, argv);
    if (input === 'help') {
      io.stdout(shape.help.endsWith('\n') ? shape.help : `${shape.help}\n`);
      return 0;
    }
    return await body(input);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    io.stderr(`entrupy-signature-proxy ${shape.name}: ${error.message}\n`);
    return 2;
  }
}

/** Parses strictly: unknown, repeated, valueless and superfluous arguments throw UsageError. `--help` wins over all. */
export function parseCommand<const K extends OptionKinds>(
  { options, positionals: names }: CommandShape<K>,
  argv: readonly string[],
): CommandInput<K> | 'help' {
  const known: Record<string, OptionKind> = { ...options, help: 'flag' };
  const { tokens } = parseArgs({
    args: [...argv],
    options: Object.fromEntries(
      Object.entries(known).map(([name, kind]) => [name, { type: kind === 'flag' ? 'boolean' : 'string' } as const]),
    ),
    allowPositionals: true,
    strict: false,
    tokens: true,
  });
  if (tokens.some((token) => token.kind === 'option' && (token.rawName === '--help' || token.rawName === '-h'))) {
    return 'help';
  }
  const values: Record<string, string | readonly string[] | true> = {};
  const positionals: string[] = [];
  for (const token of tokens) {
    if (token.kind === 'positional') positionals.push(token.value);
    if (token.kind !== 'option') continue;
    const before = Object.hasOwn(values, token.name) ? values[token.name] : undefined;
    const value = optionValue(token, known);
    if (known[token.name] === 'texts') values[token.name] = [...(Array.isArray(before) ? before : []), String(value)];
    else if (before !== undefined) throw mistake(`option ${token.rawName} is given twice`);
    else values[token.name] = value;
  }
  // The argument itself stays out of the message: people paste secrets and signatures here.
  if (positionals.length > names.length) {
    throw mistake(`too many arguments: it takes ${names.length === 0 ? 'none' : names.join(' and ')}`);
  }
  // The loop above has checked each value against its kind.
  return { values: values as OptionValues<K>, positionals };
}

interface OptionToken {
  readonly name: string;
  readonly rawName: string;
  readonly value: string | undefined;
  readonly inlineValue: boolean | undefined;
}

function optionValue(token: OptionToken, known: Readonly<Record<string, OptionKind>>): string | true {
  const { name, rawName, value, inlineValue } = token;
  const kind = rawName.startsWith('--') && Object.hasOwn(known, name) ? known[name] : undefined;
  if (kind === undefined) throw mistake(`unknown option '${rawName}'`);
  if (kind === 'flag') {
    if (value !== undefined) throw mistake(`option ${rawName} takes no value`);
    return true;
  }
  // `--secret-file --header` is a forgotten value far more often than a file that is called so; `=` says it plainly.
  const looksLikeOption = inlineValue !== true && value !== undefined && value.length > 1 && value.startsWith('-');
  if (value === undefined || looksLikeOption) throw mistake(`option ${rawName} needs a value`);
  if (value === '') throw mistake(`option ${rawName} has an empty value`);
  return value;
}
