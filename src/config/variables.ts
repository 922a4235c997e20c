// The environment variables that the configuration reads: what each overrides, and what people write in its place.
// Commands load this file without the configuration and its libraries.
import { nearest } from '../base/nearest-word.ts';

/** Keys that a variable overrides: `UPSTREAM_URL` for `upstream.url`. */
const KEYS = { upstream: ['url'], listen: ['host', 'port'], admin: ['host', 'port'], log: ['level', 'format'] };
export const OVERRIDES = Object.entries(KEYS).flatMap(([section, keys]) =>
  keys.map((key) => ({ section, key, variable: `${section}_${key}`.toUpperCase() })),
);

export const SECRET = 'WEBHOOK_ENDPOINT_SECRET_KEY';

/** Each variable that the configuration reads; docs/commands.md says what they mean. */
export const NAMES: readonly string[] = [
  'ENTRUPY_PROXY_CONFIG',
  ...OVERRIDES.map(({ variable }) => variable),
  SECRET,
  `${SECRET}_PREVIOUS`,
  `${SECRET}_FILE`,
  'ALLOW_SHORT_SECRET',
  'VERIFY_PATHS',
  'FORWARD_PATHS',
];

/** The maximum number of typing errors that are forgiven: a name with three probably belongs to another program. */
const MAX_EDITS = 2;
/** Names that people try in place of ours. */
const TRIED: readonly (readonly [name: RegExp, ours: string])[] = [
  [/^UPSTREAM$/, 'UPSTREAM_URL'],
  [/^(?:LISTEN|PORT)$/, 'LISTEN_PORT'],
  [/^webhook_endpoint_secret.*_(?:old|prev)/i, `${SECRET}_PREVIOUS`],
  // These differ by whole words, but must be noticed: without its secret the proxy answers every request with 503.
  [/^webhook_endpoint_secret|^(?:entrupy_(?:webhook_)?|webhook_)secret(?:_key)?$/i, SECRET],
];

/** Which of our variables was probably meant by another name; empty if none was. */
export const meantBy = (variable: string) =>
  nearest(variable, NAMES, MAX_EDITS) ?? TRIED.find(([name]) => name.test(variable))?.[1] ?? '';

export type Env = Readonly<Record<string, string | undefined>>;

/** The name of a secret's variable: shown only if one has it, or `NAMES` does, since a secret may be pasted in its place. */
export class VariableName {
  readonly #name: string;

  constructor(name: string) {
    this.#name = name;
  }

  valueIn(env: Env): string | undefined {
    return Object.hasOwn(env, this.#name) ? env[this.#name] : undefined;
  }

  /** The name; null if it must not be shown. */
  shownIn(env: Env): string | null {
    return NAMES.includes(this.#name) || this.valueIn(env) !== undefined ? this.#name : null;
  }
}
