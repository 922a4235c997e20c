// `check-config`: every mistake at once, or what `serve` would run with. It must never print a secret's value, nor
// change anything: secrets and TLS files are read as serve reads them, and dropped.

import type { Config, Salvaged } from '../config/config.ts';
import { ConfigError, formatProblem, type LoadedConfig, loadConfig } from '../config/load.ts';
import { type BuiltTls, buildTls } from '../runtime/certificates.ts';
import { readTlsFiles, tlsPaths } from '../runtime/inputs.ts';
import { deliversOnce } from '../runtime/policy.ts';
import { readKeyFile } from '../secrets/files.ts';
import type { SecretMaterial } from '../secrets/material.ts';
import { readSecrets } from '../secrets/sources.ts';
import { limitLines, routeLines, secretLines, sourceLines, usableSecrets, verifyRoutes } from './config-report.ts';
import type { Io } from './io.ts';
import { runCommand } from './usage.ts';

export const help = `Usage: entrupy-signature-proxy check-config [--config FILE] [--no-secrets]

Loads the configuration, and the secrets and TLS files as serve would, and prints
the effective routes, the secrets by id (never a value), limits and warnings.
Every mistake is told at once, with its place; secrets and TLS files are checked
even where the configuration has other mistakes.

  --config FILE   the configuration, as for serve
  --no-secrets    do not read secrets or TLS files, so do not judge them
  --help          this text

Exit code: 0 when serve could start and be ready, and its certificates are within
their time; else 2.`;

const SHAPE = {
  name: 'check-config',
  help,
  options: { config: 'text', 'no-secrets': 'flag' },
  positionals: [],
} as const;

export function run(argv: readonly string[], io: Io): Promise<number> {
  return runCommand(SHAPE, { argv, io }, async ({ values }) => {
    const reads = values['no-secrets'] === true ? 'nothing' : 'secrets';
    try {
      const loaded = await loadConfig({ file: values.config ?? null, env: io.env });
      const files = reads === 'nothing' ? null : await readFiles(loaded.config, io);
      const password = reads === 'nothing' ? null : await passwordTrouble(loaded.config);
      return report(loaded, { files, password, io, now: Date.now() });
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      const { problems, salvaged } = error;
      const beside = salvaged === null || reads === 'nothing' ? [] : troublesOf(await readFiles(salvaged, io));
      const lines = [...problems.map(formatProblem), ...beside];
      io.stderr(`${lines.join('\n')}\n${lines.length} ${lines.length === 1 ? 'error' : 'errors'}\n`);
      return 2;
    }
  });
}

/** What stands in the files that a configuration names. */
interface Files {
  readonly secrets: readonly SecretMaterial[];
  readonly tls: BuiltTls;
}

async function readFiles(config: Salvaged, { env }: Io): Promise<Files> {
  const { listen, upstream } = config;
  const contents = await readTlsFiles(tlsPaths(config));
  const tls = buildTls({ listen: listen.tls, upstream: upstream.tls, contents }, null, Date.now());
  return { secrets: await readSecrets(config.secrets, env), tls };
}

/** What can't be used of them, or only by clients that do not look. */
function troublesOf({ secrets, tls }: Files): readonly string[] {
  const unusable = secrets.flatMap(({ id, source, problem }) => {
    if (problem === null) return [];
    return [id === source ? `${source}: ${problem}` : `secret ${id} (${source}): ${problem}`];
  });
  return [...tls.failures, ...tls.warnings, ...unusable];
}

interface Checked {
  /** Null where they were not to be read. */
  readonly files: Files | null;
  /** What is wrong with `once.passwordFile`; null where nothing is, or nobody needs it. */
  readonly password: string | null;
  readonly io: Io;
  readonly now: number;
}

function report({ config, file, sha256, warnings }: LoadedConfig, { files, password, io, now }: Checked): number {
  const troubles = files === null ? [] : [...troublesOf(files), ...unreadyRoutes(config, files.secrets, now)];
  const notes = [
    ...warnings.map(formatProblem),
    ...endedReports(config, now),
    ...(files?.secrets ?? []).flatMap(({ id, warnings: odd }) => odd.map((warning) => `secret ${id}: ${warning}`)),
    ...(files === null ? [] : missingIds(config, files.secrets)),
    ...(password === null ? [] : [password]),
  ];
  const sections = [
    ['Configuration', [file === null ? 'the environment alone' : `${file} (sha256 ${sha256})`]],
    ['Routes', routeLines(config)],
    ['Secrets', files === null ? sourceLines(config.secrets) : secretLines(files.secrets, now)],
    ['Limits', limitLines(config)],
    ['Warnings', notes],
  ] as const;
  for (const [title, lines] of sections) {
    if (lines.length > 0) io.stdout(`${title}\n${lines.map((line) => `  ${line}\n`).join('')}\n`);
  }
  if (troubles.length > 0) {
    io.stderr(`${troubles.join('\n')}\n`);
    return 2;
  }
  const unread = files === null ? '; secrets were not read, nor TLS files' : '';
  io.stdout(`The configuration is valid${unread}.\n`);
  return 0;
}

/** Why serve would start, but not be ready. */
function unreadyRoutes(config: Config, secrets: readonly SecretMaterial[], now: number): readonly string[] {
  return verifyRoutes(config)
    .filter(({ mode, reportUntil }) => mode === 'enforce' || (reportUntil !== null && reportUntil <= now))
    .filter((route) => usableSecrets(route, { secrets, now }).length === 0)
    .map(({ path }) => `route ${path}: no live secret, so its requests are answered with 503`);
}

/** A date that has passed changes a route without anybody's doing. */
function endedReports({ routes }: Config, now: number): readonly string[] {
  return routes.flatMap(({ path, reportUntil }) => {
    if (reportUntil === null || reportUntil > now) return [];
    const date = new Date(reportUntil).toISOString();
    return [`route ${path}: reportUntil (${date}) has passed, so the route enforces; remove mode and reportUntil`];
  });
}

/** No error: serve starts without it, and `onStoreFailure` decides. */
async function passwordTrouble(config: Config): Promise<string | null> {
  const { store, passwordFile } = config.once;
  if (store === 'memory' || passwordFile === null || !deliversOnce(config)) return null;
  const { problem } = await readKeyFile(passwordFile, { allowShort: true });
  return problem === null ? null : `once.passwordFile ${passwordFile}: ${problem}`;
}

/** Ids that a route names and no source has: only a directory's ids are not checked when the configuration is loaded. */
function missingIds(config: Config, secrets: readonly SecretMaterial[]): string[] {
  const known = new Set(secrets.map(({ id }) => id));
  return config.routes.flatMap(({ path, secrets: ids }) =>
    (ids ?? []).filter((id) => !known.has(id)).map((id) => `route ${path}: there is no secret ${id} now`),
  );
}
