// The names of the environment variables that the configuration reads. Commands load this file without the
// configuration and its libraries.

/** Keys that a variable overrides: `UPSTREAM_URL` for `upstream.url`. */
const KEYS = { upstream: ['url'], listen: ['host', 'port'], admin: ['host', 'port'], log: ['level', 'format'] };
export const OVERRIDES = Object.entries(KEYS).flatMap(([section, keys]) =>
  keys.map((key) => ({ section, key, variable: `${section}_${key}`.toUpperCase() })),
);

export const SECRET = 'WEBHOOK_ENDPOINT_SECRET_KEY';

/** Each variable that the configuration reads, for the docs. */
export const VARIABLES: readonly (readonly [name: string, meaning: string])[] = [
  ['ENTRUPY_PROXY_CONFIG', 'The configuration file, if `--config` is not given.'],
  ...OVERRIDES.map(({ variable, section, key }) => [variable, `Overrides \`${section}.${key}\`.`] as const),
  [SECRET, 'Holds a secret with the id `env`. If it is set but empty, the secret cannot be used.'],
  [`${SECRET}_PREVIOUS`, 'Holds a secret with the id `env-previous`.'],
  [`${SECRET}_FILE`, 'Names a file that holds a secret with the id `file`.'],
  ['ALLOW_SHORT_SECRET', '`true` allows these three to have fewer than 16 bytes.'],
  ['VERIFY_PATHS', 'Paths with commas between, such as `/notify,/webhooks/*`: verified; everything else is forwarded.'],
  ['FORWARD_PATHS', 'Paths with commas between: forwarded; everything else is verified.'],
];

export const NAMES = VARIABLES.map(([name]) => name);

export type Env = Readonly<Record<string, string | undefined>>;

/**
 * The name of the variable that holds a secret. A secret may have been pasted in its place, so the name is shown only
 * while a variable has it, or if it is one of `VARIABLES`.
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
