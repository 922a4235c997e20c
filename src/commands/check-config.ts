// `check-config`: prints every problem at once, or the configuration that `serve` would run with. It must never print a
// secret's value or change anything: it reads secrets and TLS files as serve does, and discards them.
import { type Config, routesOf, type Salvaged } from '../config/config.ts';
import { ConfigError, loadConfig } from '../config/load.ts';
import { atValue, formatProblem, inOrder, type KeyPath, type ProblemAt } from '../config/problems.ts';
import { labelled, OF_ROUTE } from '../config/schema-problems.ts';
import { outsideByClock, stateOf } from '../core/keyring.ts';
import { deliversOnce, inForce, type Route, redelivers } from '../core/routes.ts';
import type { SecretFacts } from '../facts.ts';
import { fitMachine } from '../runtime/machine-limits.ts';
import { buildPolicy, noLiveSecret, routesWithoutSecret, unknownId } from '../runtime/ruleset.ts';
import { buildTls, readTlsFiles, tlsProblem } from '../runtime/tls-files.ts';
import { failuresOf, readSecrets, usable } from '../secrets/rotation.ts';
import { readPasswordFile, type SecretMaterial, sourceName } from '../secrets/sources.ts';
import { command, type Io, table } from './command.ts';

export const run = command('check-config', async ({ values }, io) => {
  const reading = values['no-secrets'] ? 'no secrets' : 'secrets too';
  const inspected = await inspect(values.config ?? null, reading, io);
  const { config, ...report } = inspected;
  const ok = report.errors.length === 0;
  const routes = config === null ? [] : routesOf(config).map((route) => inForce(route, Date.now()));
  if (values.json) io.stdout(`${JSON.stringify({ ok, ...report, routes, limits: config?.limits ?? null })}\n`);
  else print(inspected, routes, reading, io);
  return ok ? 0 : 2;
});

type Reading = 'secrets too' | 'no secrets';

interface SecretRow extends Pick<SecretFacts, 'id' | 'source' | 'problem' | 'notBefore' | 'notAfter'> {
  readonly state: SecretFacts['state'] | 'not_read';
}

type Report = Awaited<ReturnType<typeof inspect>>;

/** `config` is null if it has errors of its own. `errors`: why serve could not start or be ready. */
async function inspect(file: string | null, reading: Reading, io: Io) {
  try {
    const { config, warnings, locate, ...loaded } = fitMachine(await loadConfig({ file, env: io.env }));
    const source = { config, file: loaded.file, sha256: loaded.file && loaded.sha256 };
    if (reading === 'no secrets') return { ...source, errors: [], warnings, secrets: unread(config, io) };
    const { secrets, problems } = await readFiles(config, io);
    const dead = routesWithoutSecret(buildPolicy(config, usable(secrets)), Date.now()).map(({ path }) => {
      const index = config.routes.findIndex((route) => route.path === path);
      const place = index < 0 ? ['unmatched'] : ['routes', index, config.routes[index]?.secrets ? 'secrets' : 'path'];
      return atValue(place, noLiveSecret(path));
    });
    const errors = inOrder([...problems, ...dead].map(locate));
    const notes = (await notesOn(config, secrets, io)).map(locate);
    return { ...source, errors, warnings: inOrder([...warnings, ...notes]), secrets: secrets.map(rowOf) };
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    const { problems, salvaged } = error;
    const others = salvaged === null || reading === 'no secrets' ? [] : (await readFiles(salvaged.config, io)).problems;
    const errors = inOrder([...problems, ...others.flatMap((other) => salvaged?.locate(other) ?? [])]);
    return { config: null, file: null, sha256: null, errors, warnings: [], secrets: [] };
  }
}

function print(report: Report, routes: readonly Route[], reading: Reading, io: Io): void {
  const { config, file, sha256, errors, warnings, secrets } = report;
  const lines = errors.map((error) => `${formatProblem(error)}\n`).join('');
  if (config === null) return io.stderr(`${lines}${errors.length} ${errors.length === 1 ? 'error' : 'errors'}\n`);
  const { limits, upstream, shutdown } = config;
  const sections = [
    ['Configuration', [file === null ? 'the environment alone' : `${file} (sha256 ${sha256})`]],
    ['Routes', table(routes.map(routeCells))],
    ['Secrets', secrets.length === 0 ? ['none'] : table(secrets.map(secretCells))],
    ['Settings', table(labelled({ limits, upstream, shutdown, ...storesOf(config) }))],
    ['Warnings', warnings.map(formatProblem)],
  ] as const;
  for (const [title, rows] of sections) {
    const heading = io.paint(title === 'Warnings' ? 'yellow' : 'bold', title);
    if (rows.length > 0) io.stdout(`${heading}\n${rows.map((row) => `  ${row}\n`).join('')}\n`);
  }
  if (errors.length > 0) return io.stderr(lines);
  const unread = reading === 'no secrets' ? '; secrets and TLS files were not read' : '';
  io.stdout(`${io.paint('green', 'The configuration is valid')}${unread}.\n`);
}

/** A route's keys that have a value and apply to its action. */
function routeCells({ path, action, mode, query, maxBody, ...others }: Route): readonly string[] {
  const options = labelled(action === 'verify' ? { mode, ...others, maxBody, query } : others, OF_ROUTE);
  return [path, action, options.map((option) => option.join(' ')).join('; ')];
}

function secretCells({ id, source, state, problem, ...validity }: SecretRow): readonly string[] {
  if (problem !== null) return [id, source, `cannot be used: ${problem}`];
  return [id, source, state === 'not_read' ? 'not read' : (outsideByClock(validity, Date.now()) ?? 'live')];
}

/** Reads secret sources and TLS files. `problems`: failures, and certificates outside their dates. */
async function readFiles(config: Salvaged, io: Io) {
  const tls = buildTls(config, await readTlsFiles(config), null);
  const secrets = await readSecrets(config.secrets, io.env);
  const place = (secret: SecretMaterial) => secretPlace(config, secret, io);
  const bad = secrets.flatMap((secret) => failuresOf([secret]).map((message) => atValue(place(secret), message)));
  return { secrets, problems: [...[...tls.failures, ...tls.warnings].map(tlsProblem), ...bad] };
}

function secretPlace({ secrets }: Salvaged, { id, source }: SecretMaterial, { env }: Io): KeyPath {
  const named = secrets.find((own) => sourceName(own, env) === source && (own.kind === 'directory' || own.id === id));
  return named === undefined ? ['secrets'] : ['secrets', named.index ?? 0, named.kind];
}

function rowOf(secret: SecretMaterial): SecretRow {
  const { id, source, problem, key, notBefore, notAfter } = secret;
  return { id, source, state: key === null ? 'unusable' : stateOf(secret, Date.now()), problem, notBefore, notAfter };
}

function unread({ secrets }: Config, { env }: Io): readonly SecretRow[] {
  return secrets.map((source) => {
    const { notBefore, notAfter } = source;
    const id = source.kind === 'directory' ? '*' : source.id;
    return { id, source: sourceName(source, env), state: 'not_read', problem: null, notBefore, notAfter };
  });
}

async function notesOn(config: Config, secrets: readonly SecretMaterial[], io: Io): Promise<readonly ProblemAt[]> {
  const notes = secrets.flatMap((secret) =>
    secret.warnings.map((warning) => atValue(secretPlace(config, secret, io), `secret ${secret.id}: ${warning}`)),
  );
  // The loader has checked the ids already, unless a directory of secrets is configured: its ids are known only now.
  const ids = secrets.flatMap(({ kind, id }) => (kind === 'secret' ? id : []));
  for (const [index, { path, secrets: named }] of config.routes.entries()) {
    for (const [nth, id] of (named ?? []).entries()) {
      if (ids.includes(id)) continue;
      notes.push(atValue(['routes', index, 'secrets', nth], unknownId(path, id, ids)));
    }
  }
  const stores = storesOf(config);
  for (const section of ['once', 'redelivery'] as const) {
    const file = stores[section]?.passwordFile ?? null;
    // Not an error: serve starts without the password, and does without the store.
    const key = `${section}.passwordFile `; // the message begins with it
    const unreadable = ({ message }: Error) => notes.push(atValue([section, 'passwordFile'], message.replace(key, '')));
    if (file !== null) await readPasswordFile(section, file).catch(unreadable);
  }
  return notes;
}

/** The sections of the stores that a route uses. */
function storesOf(config: Config): Partial<Pick<Config, 'once' | 'redelivery'>> {
  const { once, redelivery } = config;
  return { ...(deliversOnce(config) && { once }), ...(redelivers(config) && { redelivery }) };
}
