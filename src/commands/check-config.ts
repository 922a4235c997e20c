// `check-config`: prints every problem at once, or the configuration that `serve` would run with. It must never print a
// secret's value or change anything: it reads secrets and TLS files as serve does, and discards them.
import type { Config, Salvaged, SecretSource } from '../config/config.ts';
import { ConfigError, formatProblem, loadConfig } from '../config/load.ts';
import { DURATION, SIZE } from '../config/units.ts';
import { outsideText } from '../core/keyring.ts';
import type { Route } from '../core/routes.ts';
import { readTlsFiles } from '../runtime/inputs.ts';
import { buildPolicy, deliversOnce, routesOf, routesWithoutSecret } from '../runtime/ruleset.ts';
import { buildTls } from '../runtime/tls-files.ts';
import type { SecretMaterial } from '../secrets/material.ts';
import { failuresOf, readSecrets } from '../secrets/rotation.ts';
import { readKeyFile, sourceName } from '../secrets/sources.ts';
import { command, type Io } from './command-line.ts';
import { CONFIG_OPTION } from './definition.ts';

export const definition = {
  name: 'check-config',
  usage: '[--config FILE] [--no-secrets]',
  about: `
Loads the configuration, secrets and TLS files as serve does, and prints the
effective routes, the secrets by id (never a value), limits and warnings.
Reports every mistake at once, with its position. Secrets and TLS files are
checked even if the configuration has other mistakes.`,
  options: {
    ...CONFIG_OPTION,
    'no-secrets': { type: 'boolean', does: 'does not read or check secrets and TLS files' },
  },
  positionals: [],
  exits: [
    ['0', 'serve could start and be ready, and its certificates are valid now'],
    ['2', 'it could not, or the command line cannot be used'],
  ],
} as const;

export const run = command(definition, async ({ values }, io) => {
  const reads = values['no-secrets'] !== true;
  try {
    const { config, file, sha256, warnings } = await loadConfig({ file: values.config ?? null, env: io.env });
    const { secrets, notes, troubles } = reads ? await inspect(config, io) : unread(config, io);
    const sections = [
      ['Configuration', [file === null ? 'the environment alone' : `${file} (sha256 ${sha256})`]],
      ['Routes', routeLines(config)],
      ['Secrets', secrets.length === 0 ? ['none'] : table([['id', 'source', 'state'], ...secrets])],
      ['Limits', limitLines(config)],
      ['Warnings', [...warnings.map(formatProblem), ...endedReports(config), ...notes]],
    ] as const;
    for (const [title, lines] of sections) {
      if (lines.length > 0) io.stdout(`${title}\n${lines.map((line) => `  ${line}\n`).join('')}\n`);
    }
    if (troubles.length > 0) io.stderr(`${troubles.join('\n')}\n`);
    else io.stdout(`The configuration is valid${reads ? '' : '; secrets and TLS files were not read'}.\n`);
    return troubles.length > 0 ? 2 : 0;
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    const { problems, salvaged } = error;
    const troubles = salvaged === null || !reads ? [] : (await readFiles(salvaged, io)).troubles;
    const lines = [...problems.map(formatProblem), ...troubles];
    io.stderr(`${lines.join('\n')}\n${lines.length} ${lines.length === 1 ? 'error' : 'errors'}\n`);
    return 2;
  }
});

/** Reads secret sources and TLS files. `troubles` are failures, and certificates that some clients would refuse. */
async function readFiles(config: Salvaged, { env }: Io) {
  const tls = buildTls(config, await readTlsFiles(config), null);
  const secrets = await readSecrets(config.secrets, env);
  return { secrets, troubles: [...tls.failures, ...tls.warnings, ...failuresOf(secrets)] };
}

/** A row for each secret, `notes` that do not stop serve, and `troubles`: why it could not start or be ready. */
async function inspect(config: Config, io: Io) {
  const { secrets, troubles } = await readFiles(config, io);
  const now = Date.now();
  const rows = secrets.map((secret) => {
    const { id, source, problem } = secret;
    return [id, source, problem === null ? (outsideText(secret, now) ?? 'live') : `cannot be used: ${problem}`];
  });
  for (const { path } of routesWithoutSecret(config, buildPolicy(config, secrets), now)) {
    troubles.push(`route ${path}: no live secret, so its requests are answered with 503`);
  }
  return { secrets: rows, notes: await notesOn(config, secrets), troubles };
}

function unread({ secrets }: Config, { env }: Io) {
  const idOf = (source: SecretSource) => (source.kind === 'directory' ? '*' : source.id);
  const rows = secrets.map((source) => [idOf(source), sourceName(source, env), 'not read']);
  return { secrets: rows, notes: [], troubles: [] };
}

/** Notes on dates that have passed: each has changed its route although nobody changed the configuration. */
function endedReports({ routes }: Config): readonly string[] {
  return routes.flatMap(({ path, reportUntil }) => {
    if (reportUntil === null || reportUntil > Date.now()) return [];
    const date = new Date(reportUntil).toISOString();
    return [`route ${path}: reportUntil (${date}) has passed, so the route enforces; remove mode and reportUntil`];
  });
}

async function notesOn(config: Config, secrets: readonly SecretMaterial[]): Promise<readonly string[]> {
  const notes = secrets.flatMap(({ id, warnings }) => warnings.map((warning) => `secret ${id}: ${warning}`));
  // Only a directory's ids are unknown when the configuration is loaded.
  for (const { path, secrets: ids } of config.routes) {
    const unknown = ids?.filter((id) => !secrets.some((secret) => secret.id === id)) ?? [];
    notes.push(...unknown.map((id) => `route ${path}: no secret has the id ${id} now`));
  }
  const { store, passwordFile } = config.once;
  if (store === 'memory' || passwordFile === null || !deliversOnce(config)) return notes;
  // Not an error: serve starts without the password, and `onStoreFailure` decides.
  const { problem } = await readKeyFile(passwordFile, { allowShort: true });
  return problem === null ? notes : [...notes, `once.passwordFile ${passwordFile}: ${problem}`];
}

function routeLines(config: Config): readonly string[] {
  const rows = routesOf(config).map((route) => [
    route.path,
    route.action,
    route.action === 'reject' ? '-' : (route.methods?.join(',') ?? 'all'),
    ...(route.action === 'verify' ? verifyCells(route) : ['-', '-', '-']),
    optionCell(route),
  ]);
  return table([['path', 'action', 'methods', 'secrets', 'mode', 'maxBody', 'options'], ...rows]);
}

function verifyCells({ secrets, mode, reportUntil, maxBody }: Route): readonly string[] {
  const until = reportUntil === null ? '' : ` until ${new Date(reportUntil).toISOString().replace('.000Z', 'Z')}`;
  return [secrets?.join(',') ?? 'all', `${mode}${until}`, SIZE.format(maxBody)];
}

const OPTIONS = ['query', 'once', 'upgrade', 'allowHeaders', 'responseTimeout', 'idleTimeout'] as const;

/** The options that differ from their defaults. */
function optionCell(route: Route): string {
  const options = OPTIONS.flatMap((key) => {
    const value = route[key];
    const text = typeof value === 'number' ? DURATION.format(value) : String(value ?? '');
    return text === '' || text === 'forward' ? [] : [`${key} ${text}`];
  });
  return options.join(', ') || '-';
}

function limitLines(config: Config): readonly string[] {
  const { limits, upstream, shutdown, once } = config;
  const { maxEntries, onStoreFailure } = once;
  const shared = once.name === '' ? once.store : `${once.store} as ${once.name}`;
  const store = once.store === 'memory' ? `memory, ${maxEntries} events` : `${shared}, when it fails ${onStoreFailure}`;
  return table([
    ['maxBody', SIZE.format(limits.maxBody)],
    ['bufferedBytes', limits.bufferedBytes === 'auto' ? 'auto' : SIZE.format(limits.bufferedBytes)],
    ['maxHeader', SIZE.format(limits.maxHeader)],
    ['headersTimeout', DURATION.format(limits.headersTimeout)],
    ['bodyTimeout', DURATION.format(limits.bodyTimeout)],
    ['connections', `${limits.connections}, ${upstream.connections} to ${upstream.url}`],
    ['connectionAge', DURATION.format(limits.connectionAge)],
    ['shutdown', `delay ${DURATION.format(shutdown.delay)}, grace ${DURATION.format(shutdown.grace)}`],
    ...(deliversOnce(config) ? [['once', store]] : []),
  ]);
}

function table(rows: readonly (readonly string[])[]): readonly string[] {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => (row[column] ?? '').length)));
  const pad = (cell: string, column: number) => cell.padEnd(widths[column] ?? 0);
  return rows.map((row) => row.map(pad).join('  ').trimEnd());
}
