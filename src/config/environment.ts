// Environment variables as part of the configuration, with a file or alone. The value of a secret's variable is not
// kept: only whether it is set matters here.
import { listOf } from '../base/nearest-word.ts';
import type { Problem } from './problems.ts';
import { LOG_FORMATS } from './schema.ts';
import { type Env, meantBy, NAMES, OVERRIDES, SECRET } from './variables.ts';
import { isMapping, type Mapping } from './yaml.ts';

type Overlay = ReturnType<typeof overlayOn>;

function overlayOn(written: Mapping) {
  const data: Record<string, unknown> = Object.assign(Object.create(null), written);
  const errors: Problem[] = [];
  const warnings: Problem[] = [];
  /** For each section or key (`listen.port`) that a variable set, the variable's name. */
  const origins = new Map<string, string>();
  const refuse = (variable: string, message: string) => void errors.push(variableProblem(variable, message));
  const ignore = (variable: string, why: string) => void warnings.push(variableProblem(variable, `ignored: ${why}`));
  return { data, errors, warnings, origins, refuse, ignore };
}

/** Applies the environment to the file's data. An empty variable counts as not set, except `SECRET`. */
export function applyEnvironment(written: Mapping, env: Env): Omit<Overlay, 'refuse' | 'ignore'> {
  const overlay = overlayOn(written);
  const entries: readonly unknown[] = Array.isArray(written.secrets) ? written.secrets : [];
  const named = new Set(entries.map((entry) => (isMapping(entry) ? entry.env : undefined)));
  for (const target of OVERRIDES) override(overlay, env, target);
  addRoutes(overlay, env);
  addSecrets(overlay, env, named);
  for (const variable of Object.keys(env)) {
    if (NAMES.includes(variable) || named.has(variable) || !env[variable]) continue;
    // A misspelt variable must not be ignored silently.
    const near = meantBy(variable);
    if (near !== '' && !env[near]) overlay.ignore(variable, `no variable has this name; did you mean ${near}?`);
  }
  return overlay;
}

export function variableProblem(variable: string, message: string): Problem {
  return { file: 'environment', line: null, column: null, key: variable, message };
}

const quoted = (value: string) => JSON.stringify(value.slice(0, 60));

/** An env file whose lines end in CRLF, or whose values are quoted, has both in its values. */
const FROM_ENV_FILE = /^(?:(['"]).*\1|.*\r)$/s;

function override({ data, refuse, ignore, origins }: Overlay, env: Env, target: (typeof OVERRIDES)[number]): void {
  const { variable, section, key } = target;
  const value = env[variable] ?? '';
  const before = data[section] ?? {};
  if (value === '' || !isMapping(before)) return;
  const isPort = key === 'port';
  if (isPort && /^(?:tcp|udp|sctp):\/\//.test(value)) {
    return ignore(variable, `${quoted(value)} is Kubernetes' service link; enableServiceLinks: false removes it`);
  }
  if (FROM_ENV_FILE.test(value)) {
    const what = value.endsWith('\r') ? 'a carriage return at its end' : 'quotes around it';
    return refuse(
      variable,
      `${quoted(value)} has ${what}; an env file is likely (docker --env-file): write its lines without quotes, ending in LF`,
    );
  }
  // LOG_FORMAT is often set for all programs of a machine, so another value is no error.
  if (key === 'format' && !LOG_FORMATS.some((format) => format === value)) {
    return ignore(variable, `found ${quoted(value)}, allowed is ${listOf(LOG_FORMATS, 'or')}`);
  }
  data[section] = { ...before, [key]: isPort && /^(?:0|[1-9][0-9]{0,8})$/.test(value) ? Number(value) : value };
  origins.set(`${section}.${key}`, variable);
}

const isWritten = (value: unknown) => value !== undefined && value !== null;

function addRoutes({ data, refuse, origins }: Overlay, env: Env): void {
  const isVerify = Boolean(env.VERIFY_PATHS);
  const variable = isVerify ? 'VERIFY_PATHS' : 'FORWARD_PATHS';
  if (!env[variable]) return;
  if (isVerify && env.FORWARD_PATHS) {
    return refuse(variable, 'set together with FORWARD_PATHS; allowed is one of them');
  }
  if (isWritten(data.routes) || isWritten(data.unmatched)) {
    return refuse(variable, 'set although the file has routes or unmatched; allowed is one or the other');
  }
  const paths = env[variable].split(',').map((path) => path.trim());
  // If empty entries were skipped, "VERIFY_PATHS=," would verify nothing.
  if (paths.includes('')) return refuse(variable, 'names an empty path; allowed is a list such as /notify,/webhooks/*');
  data.routes = paths.map((path) => ({ path, action: isVerify ? 'verify' : 'forward' }));
  data.unmatched = isVerify ? 'forward' : 'verify';
  origins.set('routes', variable).set('unmatched', variable);
}

/** Adds secrets from variables. `named`: the variables that the file's `env:` entries name. */
function addSecrets({ data, refuse, ignore, origins }: Overlay, env: Env, named: ReadonlySet<unknown>): void {
  const isSet = (name: string) => env[name] !== undefined && (name === SECRET || env[name] !== '');
  const given = [SECRET, `${SECRET}_PREVIOUS`, `${SECRET}_FILE`].filter(isSet);
  const short = env.ALLOW_SHORT_SECRET ?? '';
  const allowShort = short === 'true';
  if (!['', 'true', 'false'].includes(short)) {
    refuse('ALLOW_SHORT_SECRET', `found ${quoted(short)}, allowed is true or false`);
  }
  if (isWritten(data.secrets)) {
    const unused = [...given.filter((name) => !named.has(name)), ...(allowShort ? ['ALLOW_SHORT_SECRET'] : [])];
    for (const name of unused) ignore(name, 'the file has secrets');
    return;
  }
  if (given[0] === undefined) return;
  data.secrets = given.map((name) => {
    if (name.endsWith('_FILE')) return { id: 'file', file: env[name], allowShort };
    return { id: name === SECRET ? 'env' : 'env-previous', env: name, allowShort };
  });
  origins.set('secrets', given[0]);
  for (const [index, name] of given.entries()) origins.set(`secrets.${index}`, name);
}
