// Environment variables as part of the configuration, with a file or alone. The value of a secret's variable is not
// kept: only whether it is set matters here.
import { nearest } from './nearest-word.ts';
import type { Problem } from './problems.ts';
import { isMapping, type Mapping } from './yaml.ts';

export type Env = Readonly<Record<string, string | undefined>>;

/** Variables that override one key each. */
const OVERRIDES = [
  ['UPSTREAM_URL', 'upstream', 'url'],
  ['LISTEN_PORT', 'listen', 'port'],
  ['ADMIN_PORT', 'admin', 'port'],
  ['LOG_LEVEL', 'log', 'level'],
] as const;

const SECRET = 'WEBHOOK_ENDPOINT_SECRET_KEY';

/** Each variable that the configuration reads, for the docs. */
export const VARIABLES: readonly (readonly [name: string, meaning: string])[] = [
  ['ENTRUPY_PROXY_CONFIG', 'The configuration file, if `--config` is not given.'],
  ...OVERRIDES.map(([name, section, key]) => [name, `Overrides \`${section}.${key}\`.`] as const),
  [SECRET, 'Holds a secret with the id `env`. If it is set but empty, the secret cannot be used.'],
  [`${SECRET}_PREVIOUS`, 'Holds a secret with the id `env-previous`.'],
  [`${SECRET}_FILE`, 'Names a file that holds a secret with the id `file`.'],
  ['ALLOW_SHORT_SECRET', '`true` allows these three to have fewer than 16 bytes.'],
  [
    'VERIFY_PATHS',
    'Comma-separated paths, such as `/notify,/webhooks/*`: these are verified, everything else is forwarded.',
  ],
  ['FORWARD_PATHS', 'Comma-separated paths: these are forwarded, everything else is verified.'],
];

/**
 * The name of the variable that holds a secret. A value may have been pasted in its place, so it can be read only while
 * a variable has this name, or if it is a name of ours.
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
    const isOurs = VARIABLES.some(([name]) => name === this.#name);
    return isOurs || this.valueIn(env) !== undefined ? this.#name : null;
  }
}

type Overlay = ReturnType<typeof applyEnvironment>;

/** Applies the environment to the file's data. An empty variable counts as not set, except for the first secret. */
export function applyEnvironment(written: Mapping, env: Env) {
  const data: Record<string, unknown> = Object.assign(Object.create(null), written);
  const errors: Problem[] = [];
  const warnings: Problem[] = [];
  /** The variable that set a section or key (`listen.port`). Those from the file or a default have no entry. */
  const origins = new Map<string, string>();
  const overlay = { data, errors, warnings, origins };
  const entries: readonly unknown[] = Array.isArray(written.secrets) ? written.secrets : [];
  const named = new Set(entries.map((entry) => (isMapping(entry) ? entry.env : undefined)));
  for (const target of OVERRIDES) override(overlay, env, target);
  addRoutes(overlay, env);
  addSecrets(overlay, env, named);
  warnings.push(...nearNames(env, named));
  return overlay;
}

export function variableProblem(variable: string, message: string): Problem {
  return { file: 'environment', line: null, column: null, key: variable, message };
}

function override({ data, warnings, origins }: Overlay, env: Env, target: (typeof OVERRIDES)[number]): void {
  const [variable, section, key] = target;
  const value = env[variable];
  if (value === undefined || value === '') return;
  if (variable.endsWith('_PORT') && /^(?:tcp|udp|sctp):\/\//.test(value)) {
    const link = `${JSON.stringify(value.slice(0, 60))} is Kubernetes' service link`;
    warnings.push(variableProblem(variable, `ignored: ${link}; enableServiceLinks: false removes it`));
    return;
  }
  const before = data[section] ?? {};
  if (!isMapping(before)) return;
  const isNumber = variable.endsWith('_PORT') && /^(?:0|[1-9][0-9]{0,8})$/.test(value);
  data[section] = { ...before, [key]: isNumber ? Number(value) : value };
  origins.set(`${section}.${key}`, variable);
}

const isWritten = (value: unknown) => value !== undefined && value !== null;

function addRoutes({ data, errors, origins }: Overlay, env: Env): void {
  const [variable, action, unmatched] = env.VERIFY_PATHS
    ? ['VERIFY_PATHS', 'verify', 'forward']
    : ['FORWARD_PATHS', 'forward', 'verify'];
  const value = env[variable] ?? '';
  if (value === '') return;
  const refuse = (message: string) => void errors.push(variableProblem(variable, message));
  if (variable === 'VERIFY_PATHS' && env.FORWARD_PATHS) {
    return refuse('set together with FORWARD_PATHS; allowed is one of them');
  }
  if (isWritten(data.routes) || isWritten(data.unmatched)) {
    return refuse('set although the file has routes or unmatched; allowed is one or the other');
  }
  const paths = value.split(',').map((path) => path.trim());
  // Otherwise "VERIFY_PATHS=," would verify nothing.
  if (paths.includes('')) return refuse('names an empty path; allowed is a list such as /notify,/webhooks/*');
  data.routes = paths.map((path) => ({ path, action }));
  data.unmatched = unmatched;
  origins.set('routes', variable).set('unmatched', variable);
}

/** Adds secrets from variables. `named` has the variables that `env:` entries of the file name. */
function addSecrets({ data, errors, warnings, origins }: Overlay, env: Env, named: ReadonlySet<unknown>): void {
  const isSet = (name: string) => env[name] !== undefined && (name === SECRET || env[name] !== '');
  const given = [SECRET, `${SECRET}_PREVIOUS`, `${SECRET}_FILE`].filter(isSet);
  const short = env.ALLOW_SHORT_SECRET ?? '';
  const allowShort = short === 'true';
  if (!['', 'true', 'false'].includes(short)) {
    const found = JSON.stringify(short.slice(0, 60));
    errors.push(variableProblem('ALLOW_SHORT_SECRET', `found ${found}, allowed is true or false`));
  }
  if (isWritten(data.secrets)) {
    const ignored = [...given.filter((name) => !named.has(name)), ...(allowShort ? ['ALLOW_SHORT_SECRET'] : [])];
    warnings.push(...ignored.map((name) => variableProblem(name, 'ignored: the file has secrets')));
    return;
  }
  const [first] = given;
  if (first === undefined) return;
  data.secrets = given.map((name) => {
    if (name.endsWith('_FILE')) return { id: 'file', file: env[name], allowShort };
    return { id: name === SECRET ? 'env' : 'env-previous', env: name, allowShort };
  });
  origins.set('secrets', first);
}

/** The most typing errors in a name that is nearly ours: with three it probably belongs to another program. */
const MAX_EDITS = 2;
const SECRET_FAMILY = /^webhook_endpoint_secret/i;

/** Names that people try in place of ours. */
const TRIED: Readonly<Record<string, string>> = {
  ENTRUPY_SECRET: SECRET,
  WEBHOOK_SECRET: SECRET,
  WEBHOOK_SECRET_KEY: SECRET,
  UPSTREAM: 'UPSTREAM_URL',
  PORT: 'LISTEN_PORT',
};

/**
 * Warns of variables that were probably meant to be ours, unless ours is set too: `VERIFY_PATH` would silently verify
 * nothing.
 */
function nearNames(env: Env, named: ReadonlySet<unknown>): readonly Problem[] {
  const names = VARIABLES.map(([name]) => name);
  return Object.keys(env).flatMap((variable) => {
    if (names.includes(variable) || named.has(variable) || !env[variable]) return [];
    // A missing or extra word is not a typing error, but without its secret the proxy answers every request with 503.
    const family = SECRET_FAMILY.test(variable)
      ? `${SECRET}${/_(?:old|prev)/i.test(variable) ? '_PREVIOUS' : ''}`
      : null;
    const tried = Object.hasOwn(TRIED, variable) ? TRIED[variable] : null;
    const near = tried ?? nearest(variable, names, MAX_EDITS) ?? family;
    if (near === null || env[near]) return [];
    return [variableProblem(variable, `ignored: no variable has this name; did you mean ${near}?`)];
  });
}
