// `check-config`: prints every mistake at once, or the configuration that `serve` would run with. It must never print a
// secret's value or change anything: it reads secrets and TLS files as serve does, and discards them.
import type { Config, Salvaged } from '../config/config.ts';
import { ConfigError, formatProblem, type LoadedConfig, loadConfig } from '../config/load.ts';
import { DURATION, SIZE } from '../config/units.ts';
import { outsideText } from '../core/keyring.ts';
import type { Route } from '../core/routes.ts';
import { buildTls } from '../runtime/certificates.ts';
import { readTlsFiles } from '../runtime/inputs.ts';
import { buildPolicy, deliversOnce, routesOf, routesWithoutSecret } from '../runtime/ruleset.ts';
import type { SecretMaterial } from '../secrets/material.ts';
import { rotate } from '../secrets/rotation.ts';
import { readKeyFile, readSources, sourceName } from '../secrets/sources.ts';
import { command, type Io } from './command-line.ts';

const help = `Usage: entrupy-signature-proxy check-config [--config FILE] [--no-secrets]

Loads the configuration, secrets and TLS files as serve does, and prints the
effective routes, the secrets by id (never a value), limits and warnings.
Reports every mistake at once, with its position. Secrets and TLS files are
checked even if the configuration has other mistakes.

  --config FILE   the configuration, as for serve
  --no-secrets    do not read or check secrets and TLS files
  --help          this text

Exit code: 0 if serve could start and be ready, and its certificates are valid
now; else 2.
`;

const options = { config: { type: 'string' }, 'no-secrets': { type: 'boolean' } } as const;

export const run = command({ name: 'check-config', help, options, positionals: [] }, async ({ values }, io) => {
  const reads = values['no-secrets'] !== true;
  try {
    const loaded = await loadConfig({ file: values.config ?? null, env: io.env });
    return report(loaded, reads ? await readFiles(loaded.config, io) : null, io);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    const { problems, salvaged } = error;
    const beside = salvaged === null || !reads ? [] : (await readFiles(salvaged, io)).troubles;
    const lines = [...problems.map(formatProblem), ...beside];
    io.stderr(`${lines.join('\n')}\n${lines.length} ${lines.length === 1 ? 'error' : 'errors'}\n`);
    return 2;
  }
});

/** The contents of the secret sources and TLS files of a configuration. */
interface Files {
  readonly secrets: readonly SecretMaterial[];
  /** Why serve could not use them, or would use them for clients that do not check certificates. */
  readonly troubles: readonly string[];
}

async function readFiles(config: Salvaged, { env }: Io): Promise<Files> {
  const now = Date.now();
  const tls = buildTls(config, await readTlsFiles(config), { running: null, now });
  const { secrets, failures } = rotate([], await readSources(config.secrets, env), now);
  return { secrets, troubles: [...tls.failures, ...tls.warnings, ...failures] };
}

/** Prints the configuration and gives the exit code. `files` is null with `--no-secrets`. */
async function report({ config, file, sha256, warnings }: LoadedConfig, files: Files | null, io: Io): Promise<number> {
  const now = Date.now();
  const notes = files === null ? [] : await fileNotes(config, files);
  const sections = [
    ['Configuration', [file === null ? 'the environment alone' : `${file} (sha256 ${sha256})`]],
    ['Routes', routeLines(config)],
    ['Secrets', secretLines(config, files, now)],
    ['Limits', limitLines(config)],
    ['Warnings', [...warnings.map(formatProblem), ...endedReports(config, now), ...notes]],
  ] as const;
  for (const [title, lines] of sections) {
    if (lines.length > 0) io.stdout(`${title}\n${lines.map((line) => `  ${line}\n`).join('')}\n`);
  }
  const unready = files === null ? [] : routesWithoutSecret(config, buildPolicy(config, files.secrets), now);
  const troubles = [
    ...(files?.troubles ?? []),
    ...unready.map(({ path }) => `route ${path}: no live secret, so its requests are answered with 503`),
  ];
  if (troubles.length > 0) {
    io.stderr(`${troubles.join('\n')}\n`);
    return 2;
  }
  const unread = files === null ? '; secrets and TLS files were not read' : '';
  io.stdout(`The configuration is valid${unread}.\n`);
  return 0;
}

/** A passed date changes a route although nobody changed the configuration. */
function endedReports({ routes }: Config, now: number): readonly string[] {
  return routes.flatMap(({ path, reportUntil }) => {
    if (reportUntil === null || reportUntil > now) return [];
    const date = new Date(reportUntil).toISOString();
    return [`route ${path}: reportUntil (${date}) has passed, so the route enforces; remove mode and reportUntil`];
  });
}

/** Warnings about the files. None stops serve. */
async function fileNotes(config: Config, { secrets }: Files): Promise<readonly string[]> {
  const oddities = secrets.flatMap(({ id, warnings }) => warnings.map((warning) => `secret ${id}: ${warning}`));
  // Only a directory's ids are unknown when the configuration is loaded.
  const known = new Set(secrets.map(({ id }) => id));
  const unknown = config.routes.flatMap(({ path, secrets: ids }) =>
    (ids ?? []).filter((id) => !known.has(id)).map((id) => `route ${path}: there is no secret ${id} now`),
  );
  const { store, passwordFile } = config.once;
  if (store === 'memory' || passwordFile === null || !deliversOnce(config)) return [...oddities, ...unknown];
  // No error: serve starts without the password, and `onStoreFailure` decides.
  const { problem } = await readKeyFile(passwordFile, { allowShort: true });
  return [...oddities, ...unknown, ...(problem === null ? [] : [`once.passwordFile ${passwordFile}: ${problem}`])];
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

function optionCell({ query, once, upgrade, allowHeaders, responseTimeout, idleTimeout }: Route): string {
  const options = [
    query === 'forward' ? '' : 'query refuse',
    once === null ? '' : `once ${DURATION.format(once)}`,
    upgrade.length === 0 ? '' : `upgrade ${upgrade.join(',')}`,
    allowHeaders.length === 0 ? '' : `allowHeaders ${allowHeaders.join(',')}`,
    responseTimeout === null ? '' : `responseTimeout ${DURATION.format(responseTimeout)}`,
    idleTimeout === null ? '' : `idleTimeout ${DURATION.format(idleTimeout)}`,
  ];
  return options.filter((option) => option !== '').join(', ') || '-';
}

function secretLines({ secrets: sources }: Config, files: Files | null, now: number): readonly string[] {
  const rows =
    files === null
      ? sources.map((source) => [source.kind === 'directory' ? '*' : source.id, sourceName(source), 'not read'])
      : files.secrets.map((secret) => [secret.id, secret.source, stateOf(secret, now)]);
  return rows.length === 0 ? ['none'] : table([['id', 'source', 'state'], ...rows]);
}

function stateOf(secret: SecretMaterial, now: number): string {
  return secret.problem === null ? (outsideText(secret, now) ?? 'live') : `cannot be used: ${secret.problem}`;
}

function limitLines(config: Config): readonly string[] {
  const { limits, upstream, shutdown, once } = config;
  const { maxBody, bufferedBytes, maxHeader, headersTimeout, bodyTimeout, connections, connectionAge } = limits;
  return table([
    ['maxBody', SIZE.format(maxBody)],
    ['bufferedBytes', bufferedBytes === 'auto' ? 'auto' : SIZE.format(bufferedBytes)],
    ['maxHeader', SIZE.format(maxHeader)],
    ['headersTimeout', DURATION.format(headersTimeout)],
    ['bodyTimeout', DURATION.format(bodyTimeout)],
    ['connections', `${connections}, ${upstream.connections} to ${upstream.url}`],
    ['connectionAge', DURATION.format(connectionAge)],
    ['shutdown', `delay ${DURATION.format(shutdown.delay)}, grace ${DURATION.format(shutdown.grace)}`],
    ...(deliversOnce(config) ? [['once', storeCell(once)]] : []),
  ]);
}

function storeCell({ store, maxEntries, onStoreFailure }: Config['once']): string {
  return store === 'memory' ? `memory, ${maxEntries} events` : `${store}, when it fails ${onStoreFailure}`;
}

function table(rows: readonly (readonly string[])[]): readonly string[] {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => (row[column] ?? '').length)));
  return rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  );
}
