// The names of the environment variables that the configuration reads. Commands load this file without the
// configuration and its libraries.

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

export type Env = Readonly<Record<string, string | undefined>>;

/**
 * The name of the variable that holds a secret. A secret may have been pasted in its place, so the name is shown only
 * while a variable has it, or if it is one of `NAMES`.
 */
export class VariableName {
  readonly #name: string;

  constructor(name: string) {
    this.#name = name;
  }

  /** The variable's value; undefined if it is not set. */
  valueIn(env: Env): string | undefined {
    return Object.hasOwn(env, this.#name) ? env[this.#name] : undefined;
  }

  /** The name; null if it must not be shown. */
  shownIn(env: Env): string | null {
    return NAMES.includes(this.#name) || this.valueIn(env) !== undefined ? this.#name : null;
  }
}
