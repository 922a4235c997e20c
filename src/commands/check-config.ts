// `check-config`: prints every problem at once, or the configuration that `serve` would run with. It must never print a
// secret's value or change anything: it reads secrets and TLS files as serve does, and discards them.

import { certificateAdvice } from '../admin/advice/state.ts';
import type { SecretStatus } from '../admin/snapshot.ts';
import type { Config, Salvaged } from '../config/config.ts';
import { ConfigError, type LoadedConfig, loadConfig } from '../config/load.ts';
import { formatProblem, type Problem } from '../config/problems.ts';
import { labelled } from '../config/units.ts';
import { DIAGNOSES } from '../core/diagnoses-and-remedies.ts';
import { outsideByClock, stateOf } from '../core/keyring.ts';
import { type Route, reports } from '../core/routes.ts';
import { fitOpenFiles } from '../runtime/inputs.ts';
import { buildPolicy, deliversOnce, redelivers, routesOf, routesWithoutSecret } from '../runtime/ruleset.ts';
import { buildTls, certificatesOf, readTlsFiles } from '../runtime/tls-files.ts';
import { failuresOf, readSecrets } from '../secrets/rotation.ts';
import { readPasswordFile, type SecretMaterial, sourceName } from '../secrets/sources.ts';
import { CONFIG_OPTION, command, type Io, JSON_OPTION, table } from './command.ts';

export const definition = {
  name: 'check-config',
  usage: '[--config FILE] [--no-secrets]',
  about: `
Loads the configuration, secrets and TLS files as serve does, and prints the
effective routes, the secrets by id (never a value), limits and warnings.
Reports every problem at once, with its position. Secrets and TLS files are
checked even if the configuration has other problems.`,
  options: {
    ...CONFIG_OPTION,
    'no-secrets': { type: 'boolean', does: 'does not read or check secrets and TLS files' },
    ...JSON_OPTION,
  },
  exits: [
    ['0', 'serve could start and be ready, and its certificates are valid now'],
    ['2', 'it could not, or the command line cannot be used'],
  ],
  json: [
    ['ok', '`true` if the exit code is 0'],
    ['file, sha256', 'the file, and the SHA-256 of its bytes; `null` if there is none, or it has errors'],
    ['errors[], warnings[]', '`message`, and its place or `null`: `file`, `line`, `column`, `key`'],
    ['routes[]', 'with every default; durations in ms, sizes in bytes; the last one is `unmatched`'],
    ['secrets[]', '`id`, `source`, `problem`, `notBefore`, `notAfter` (epoch ms), and'],
    ['secrets[].state', '`live`, `not_yet`, `expired`, `unusable`, `not_read`'],
    ['limits', 'as in the configuration, in ms and bytes'],
  ],
} as const;

export const run = command(definition, async ({ values }, io) => {
  const reading = values['no-secrets'] ? 'no secrets' : 'secrets too';
  const report = await inspect(values.config ?? null, reading, io);
  if (values.json) io.stdout(`${JSON.stringify(asData(report))}\n`);
  else print(report, reading, io);
  return report.errors.length === 0 ? 0 : 2;
});

type Reading = 'secrets too' | 'no secrets';

/** A problem or warning, with its place or without. */
type Remark = Problem | string;

interface Report {
  /** Null if it has errors of its own. */
  readonly loaded: LoadedConfig | null;
  readonly secrets: readonly SecretRow[];
  readonly warnings: readonly Remark[];
  /** Why serve could not start or be ready. */
  readonly errors: readonly Remark[];
}

interface SecretRow extends Pick<SecretStatus, 'id' | 'source' | 'problem' | 'notBefore' | 'notAfter'> {
  readonly state: SecretStatus['state'] | 'not_read';
}

async function inspect(file: string | null, reading: Reading, io: Io): Promise<Report> {
  try {
    const loaded = fitOpenFiles(await loadConfig({ file, env: io.env }));
    const { config, warnings } = loaded;
    if (reading === 'no secrets') return { loaded, secrets: unread(config, io), warnings, errors: [] };
    const { secrets, problems, ending } = await readFiles(config, io);
    const without = routesWithoutSecret(config, buildPolicy(config, secrets), Date.now());
    const dead = without.map(({ path }) => `route ${path}: no live secret, so its requests are answered with 503`);
    const notes = [...warnings, ...ending, ...(await notesOn(config, secrets))];
    return { loaded, secrets: secrets.map(rowOf), warnings: notes, errors: [...problems, ...dead] };
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    const { problems, salvaged } = error;
    const others = salvaged === null || reading === 'no secrets' ? [] : (await readFiles(salvaged, io)).problems;
    return { loaded: null, secrets: [], warnings: [], errors: [...problems, ...others] };
  }
}

function asData({ loaded, secrets, warnings, errors }: Report) {
  const nowhere = { file: null, line: null, column: null, key: null };
  const place = (remark: Remark) => (typeof remark === 'string' ? { ...nowhere, message: remark } : remark);
  return {
    ok: errors.length === 0,
    file: loaded?.file ?? null,
    sha256: loaded === null || loaded.file === null ? null : loaded.sha256,
    errors: errors.map(place),
    warnings: warnings.map(place),
    routes: loaded === null ? [] : routesOf(loaded.config),
    secrets,
    limits: loaded?.config.limits ?? null,
  };
}

function print({ loaded, secrets, warnings, errors }: Report, reading: Reading, io: Io): void {
  const sentence = (remark: Remark) => (typeof remark === 'string' ? remark : formatProblem(remark));
  const lines = errors.map(sentence);
  if (loaded === null) {
    io.stderr(`${lines.join('\n')}\n${lines.length} ${lines.length === 1 ? 'error' : 'errors'}\n`);
    return;
  }
  const { config, file, sha256 } = loaded;
  const { limits, upstream, shutdown } = config;
  const sections = [
    ['Configuration', [file === null ? 'the environment alone' : `${file} (sha256 ${sha256})`]],
    ['Routes', table(routesOf(config).map(routeCells))],
    ['Secrets', secrets.length === 0 ? ['none'] : table(secrets.map(secretCells))],
    ['Settings', table(labelled({ limits, upstream, shutdown, ...storesOf(config) }))],
    ['Warnings', warnings.map(sentence)],
  ] as const;
  for (const [title, lines] of sections) {
    const heading = io.paint(title === 'Warnings' ? 'yellow' : 'bold', title);
    if (lines.length > 0) io.stdout(`${heading}\n${lines.map((line) => `  ${line}\n`).join('')}\n`);
  }
  if (lines.length > 0) return io.stderr(`${lines.join('\n')}\n`);
  const unread = reading === 'no secrets' ? '; secrets and TLS files were not read' : '';
  io.stdout(`${io.paint('green', 'The configuration is valid')}${unread}.\n`);
}

/** A route with each key that has a value and applies to its action; its mode as it is now. */
function routeCells(route: Route): readonly string[] {
  const { path, action, mode: _, query, maxBody, ...others } = route;
  const mode = reports(route, Date.now()) ? 'report' : 'enforce';
  const options = labelled(action === 'verify' ? { mode, ...others, maxBody, query } : others);
  return [path, action, options.map((option) => option.join(' ')).join('; ')];
}

function secretCells({ id, source, state, problem, ...validity }: SecretRow): readonly string[] {
  if (problem !== null) return [id, source, `cannot be used: ${problem}`];
  return [id, source, state === 'not_read' ? 'not read' : (outsideByClock(validity, Date.now()) ?? 'live')];
}

/**
 * Reads secret sources and TLS files. `problems` are failures, and certificates that some clients would refuse; `ending`
 * are certificates that will soon be such.
 */
async function readFiles(config: Salvaged, { env }: Io) {
  const tls = buildTls(config, await readTlsFiles(config), null);
  const secrets = await readSecrets(config.secrets, env);
  const now = Date.now();
  const ending = certificatesOf(config, tls).flatMap((certificate) => {
    const advice = certificateAdvice(certificate, now);
    const isValid = now >= certificate.notBefore && now < certificate.notAfter; // else it is among the problems
    return advice !== null && isValid ? [`${advice.message} ${DIAGNOSES[advice.id].remedy}`] : [];
  });
  return { secrets, problems: [...tls.failures, ...tls.warnings, ...failuresOf(secrets)], ending };
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

async function notesOn(config: Config, secrets: readonly SecretMaterial[]): Promise<readonly string[]> {
  const notes = secrets.flatMap(({ id, warnings }) => warnings.map((warning) => `secret ${id}: ${warning}`));
  // Only a directory's ids are unknown when the configuration is loaded.
  for (const { path, secrets: ids } of config.routes) {
    const unknown = ids?.filter((id) => !secrets.some((secret) => secret.id === id)) ?? [];
    notes.push(...unknown.map((id) => `route ${path}: no secret has the id ${id} now`));
  }
  const stores = storesOf(config);
  for (const section of ['once', 'redelivery'] as const) {
    const file = stores[section]?.passwordFile ?? null;
    // Not an error: serve starts without the password, and does without the store.
    if (file !== null) await readPasswordFile(section, file).catch(({ message }: Error) => notes.push(message));
  }
  return notes;
}

/** The sections of the stores that a route uses. */
function storesOf(config: Config): Partial<Pick<Config, 'once' | 'redelivery'>> {
  const { once, redelivery } = config;
  return { ...(deliversOnce(config) && { once }), ...(redelivers(config) && { redelivery }) };
}
