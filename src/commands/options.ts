// The options of every command, and how arguments are read; docs/commands.md says what they mean.
import type { ParseArgsConfig } from 'node:util';
import { didYouMean } from '../base/nearest-word.ts';

const TEXT = { type: 'string' } as const;
const FLAG = { type: 'boolean' } as const;
/** Either names the secret: see sign.ts. */
const SECRET = { 'secret-file': TEXT, 'secret-env': TEXT };
const EXPECTED = { expect: TEXT, 'expect-not': TEXT, 'expect-unsigned': TEXT };

export const OPTIONS = {
  serve: { config: TEXT },
  'check-config': { config: TEXT, 'no-secrets': FLAG, json: FLAG },
  check: { config: TEXT, wait: TEXT, json: FLAG },
  sign: { ...SECRET, header: FLAG },
  verify: { signature: TEXT, request: TEXT, config: TEXT, ...SECRET, json: FLAG },
  capture: { count: TEXT, for: TEXT, reason: TEXT, out: TEXT, config: TEXT },
  explain: { config: TEXT, header: { ...TEXT, multiple: true }, json: FLAG },
  deferred: { config: TEXT, expired: FLAG, json: FLAG },
  probe: { url: TEXT, config: TEXT, ...SECRET, body: TEXT, unsigned: FLAG, ...EXPECTED, wait: TEXT },
  'retire-previous': { config: TEXT },
  healthcheck: { config: TEXT },
  demo: { once: FLAG, 'upstream-only': FLAG, port: TEXT, host: TEXT },
} as const;

export type CommandName = keyof typeof OPTIONS;

/** The most positional arguments, none by default. Each command checks for those that it requires. */
const POSITIONALS: Partial<Record<CommandName, number>> = { sign: 1, verify: 1, explain: 2, deferred: 2, probe: 1 };

/** The command cannot do what the user asked: one line on stderr, exit code 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** A usage error; the message points to `--help`. */
export const usageError = (text: string): UsageError => new UsageError(`${text}; see --help`);

export type Given<N extends CommandName> = ReturnType<typeof parse<N>>;

export function parse<N extends CommandName>(name: N, argv: readonly string[]) {
  const most = POSITIONALS[name] ?? 0;
  const given = parsed(OPTIONS[name], argv);
  for (const [option, value] of Object.entries(given.values)) {
    if (value === '') throw usageError(`option --${option} has an empty value`);
  }
  // The argument itself stays out of the message: people paste secrets and signatures here.
  if (given.positionals.length > most) throw usageError(`too many arguments: at most ${most} beside the options`);
  return given;
}

function parsed<O extends NonNullable<ParseArgsConfig['options']>>(options: O, argv: readonly string[]) {
  try {
    return process.getBuiltinModule('node:util').parseArgs({ args: [...argv], options, allowPositionals: true });
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    // Node names the option, never its value. Its advice about positional arguments is cut off.
    const message = error.message.replace(/\. To specify a positional.*|\.$/s, '').replaceAll('\n', ' ');
    const [unknown] = /^Unknown option '(--[\w-]+)/.exec(message)?.slice(1) ?? [];
    const names = ['help', ...Object.keys(options)].map((name) => `--${name}`);
    throw usageError(`${message}${unknown === undefined ? '' : didYouMean(unknown, names)}`);
  }
}
