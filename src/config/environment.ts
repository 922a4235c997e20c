// What environment variables add to the file, or say alone (spec §3). It must never read a secret's value: only whether
// the variable is there.
import { nearNames } from './near-names.ts';
import type { KeyPath } from './problems.ts';
import { isMapping } from './yaml.ts';

export type Env = Readonly<Record<string, string | undefined>>;

/** Each variable that the configuration reads, for the docs. */
export const VARIABLES: readonly (readonly [name: string, meaning: string])[] = [
  ['ENTRUPY_PROXY_CONFIG', 'The configuration file, where `--config` is not given.'],
  ['UPSTREAM_URL', 'Overrides `upstream.url`.'],
  ['LISTEN_PORT', 'Overrides `listen.port`.'],
  ['ADMIN_PORT', 'Overrides `admin.port`.'],
  ['LOG_LEVEL', 'Overrides `log.level`.'],
  [
    'WEBHOOK_ENDPOINT_SECRET_KEY',
    'Holds a secret; its id is `env`. Set but empty, it is a secret that cannot be used.',
  ],
  ['WEBHOOK_ENDPOINT_SECRET_KEY_PREVIOUS', 'Holds a secret; its id is `env-previous`.'],
  ['WEBHOOK_ENDPOINT_SECRET_KEY_FILE', 'Names a file that holds a secret; its id is `file`.'],
  ['ALLOW_SHORT_SECRET', '`true` lets these three have fewer than 16 bytes.'],
  [
    'VERIFY_PATHS',
    'Paths with a comma between, such as `/notify,/webhooks/*`: these are verified, everything else is forwarded.',
  ],
  ['FORWARD_PATHS', 'Paths with a comma between: these are forwarded, everything else is verified.'],
];

const SECRET = 'WEBHOOK_ENDPOINT_SECRET_KEY';

/** Something to say about a variable. */
export interface VariableNote {
  readonly variable: string;
  readonly message: string;
}

export interface Overlay {
  readonly data: Readonly<Record<string, unknown>>;
  readonly errors: readonly VariableNote[];
  readonly warnings: readonly VariableNote[];
  /** The variable that a key's value came from; null where it came from the file or a default. */
  readonly variableOf: (path: KeyPath) => string | null;
}

interface Draft {
  readonly env: Env;
  readonly data: Record<string, unknown>;
  readonly errors: VariableNote[];
  readonly warnings: VariableNote[];
  readonly origins: Map<string, string>;
}

/** Lays the environment over the file's data. An empty variable counts as one that is not set, but for the first secret. */
export function applyEnvironment(written: Readonly<Record<string, unknown>>, env: Env): Overlay {
  const data: Record<string, unknown> = Object.assign(Object.create(null), written);
  const draft: Draft = { env, data, errors: [], warnings: [], origins: new Map() };
  override(draft, 'UPSTREAM_URL', ['upstream', 'url']);
  override(draft, 'LISTEN_PORT', ['listen', 'port']);
  override(draft, 'ADMIN_PORT', ['admin', 'port']);
  override(draft, 'LOG_LEVEL', ['log', 'level']);
  addRoutes(draft);
  addSecrets(draft);
  const names = VARIABLES.map(([name]) => name);
  draft.warnings.push(...nearNames(env, names, namedVariables(written.secrets)));
  const { errors, warnings, origins } = draft;
  return {
    data,
    errors,
    warnings,
    variableOf: ([section, name]) => origins.get(`${section}.${name}`) ?? origins.get(`${section}`) ?? null,
  };
}

function override(
  { env, data, warnings, origins }: Draft,
  variable: string,
  [section, name]: readonly [string, string],
) {
  const value = env[variable];
  if (value === undefined || value === '') return;
  if (variable.endsWith('_PORT') && /^(?:tcp|udp|sctp):\/\//.test(value)) {
    const message = `ignored: ${JSON.stringify(value.slice(0, 60))} is Kubernetes' service link; enableServiceLinks: false keeps it away`;
    warnings.push({ variable, message });
    return;
  }
  const before = data[section] ?? {};
  if (!isMapping(before)) return;
  const isNumber = variable.endsWith('_PORT') && /^(?:0|[1-9][0-9]{0,8})$/.test(value);
  data[section] = { ...before, [name]: isNumber ? Number(value) : value };
  origins.set(`${section}.${name}`, variable);
}

const isWritten = (value: unknown) => value !== undefined && value !== null;

function addRoutes({ env, data, errors, origins }: Draft): void {
  const verify = env.VERIFY_PATHS ?? '';
  const forward = env.FORWARD_PATHS ?? '';
  const variable = verify === '' ? 'FORWARD_PATHS' : 'VERIFY_PATHS';
  if (verify === '' && forward === '') return;
  const message =
    verify !== '' && forward !== ''
      ? 'set beside FORWARD_PATHS; allowed is one of them'
      : isWritten(data.routes) || isWritten(data.unmatched)
        ? 'set beside a file with routes or unmatched; allowed is one or the other'
        : null;
  const paths = (verify || forward).split(',').map((path) => path.trim());
  // "VERIFY_PATHS=," must not come to mean that nothing is verified.
  const empty = paths.includes('') ? 'names an empty path; allowed is a list such as /notify,/webhooks/*' : null;
  const problem = message ?? empty;
  if (problem !== null) {
    errors.push({ variable, message: problem });
    return;
  }
  data.routes = paths.map((path) => ({ path, action: verify === '' ? 'forward' : 'verify' }));
  data.unmatched = verify === '' ? 'verify' : 'forward';
  origins.set('routes', variable).set('unmatched', variable);
}

function addSecrets({ env, data, errors, warnings, origins }: Draft): void {
  const isSet = (name: string) => env[name] !== undefined && (name === SECRET || env[name] !== '');
  const given = [SECRET, `${SECRET}_PREVIOUS`, `${SECRET}_FILE`].filter(isSet);
  const short = env.ALLOW_SHORT_SECRET ?? '';
  if (!['', 'true', 'false'].includes(short)) {
    errors.push({
      variable: 'ALLOW_SHORT_SECRET',
      message: `found ${JSON.stringify(short.slice(0, 60))}, allowed is true or false`,
    });
  }
  if (isWritten(data.secrets)) {
    const named = namedVariables(data.secrets);
    const ignored = [...given.filter((name) => !named.has(name)), ...(short === 'true' ? ['ALLOW_SHORT_SECRET'] : [])];
    warnings.push(...ignored.map((variable) => ({ variable, message: 'ignored: the file has secrets' })));
    return;
  }
  if (given.length === 0) return;
  const allowShort = short === 'true';
  data.secrets = given.map((name) => {
    if (name.endsWith('_FILE')) return { id: 'file', file: env[name], allowShort };
    return { id: name === SECRET ? 'env' : 'env-previous', env: name, allowShort };
  });
  origins.set('secrets', given[0] ?? SECRET);
}

/** The variables that `env:` entries of the file name. */
function namedVariables(secrets: unknown): ReadonlySet<unknown> {
  return new Set(
    Array.isArray(secrets) ? secrets.map((entry: unknown) => (isMapping(entry) ? entry.env : undefined)) : [],
  );
}
