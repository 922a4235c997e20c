// The options of every command, for the parser of arguments; docs/commands.md says what they mean.

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

/** The names of the positional arguments, for messages. Each command checks for those that it requires. */
export const POSITIONALS: Partial<Record<CommandName, readonly string[]>> = {
  sign: ['BODY'],
  verify: ['BODY'],
  explain: ['METHOD', 'TARGET'],
  deferred: ['ACTION', 'ID'],
  probe: ['TARGET'],
};
