// `check-config`: every mistake at once, or what `serve` would run with. It must never print a secret's value, nor
// change anything: secrets are read as serve reads them, and dropped.
import type { Config, LoadedConfig } from '../config/config.ts';
import { ConfigError, formatProblem, loadConfig } from '../config/load.ts';
import { deliversOnce } from '../policy.ts';
import { readKeyFile } from '../secrets/files.ts';
import type { SecretMaterial } from '../secrets/material.ts';
import { readSecrets } from '../secrets/sources.ts';
import { limitLines, routeLines, secretLines, sourceLines, usableSecrets, verifyRoutes } from './config-report.ts';
import type { Io } from './io.ts';
import { runCommand } from './usage.ts';

export const help = `Usage: entrupy-signature-proxy check-config [--config FILE] [--no-secrets]

Loads the configuration, and the secrets as serve would, and prints the
effective routes, the secrets by id (never a value), limits and warnings.
Every mistake is told at once, with its place.

  --config FILE   the configuration, as for serve
  --no-secrets    do not read the secrets, so do not judge them
  --help          this text

Exit code: 0 when serve could start and be ready, else 2.`;

const SHAPE = {
  name: 'check-config',
  help,
  options: { config: 'text', 'no-secrets': 'flag' },
  positionals: [],
} as const;

export function run(argv: readonly string[], io: Io): Promise<number> {
  return runCommand(SHAPE, { argv, io }, async ({ values }) => {
    try {
      const loaded = await loadConfig({ file: values.config ?? null, env: io.env });
      const read = values['no-secrets'] !== true;
      const secrets = read ? await readSecrets(loaded.config.secrets, io.env) : null;
      const password = read ? await passwordTrouble(loaded.config) : null;
      return report(loaded, { secrets, password, io, now: Date.now() });
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      const count = error.problems.length;
      io.stderr(`${error.problems.map(formatProblem).join('\n')}\n`);
      io.stderr(`${count} ${count === 1 ? 'error' : 'errors'}\n`);
      return 2;
    }
  });
}

interface Checked {
  /** Null where they were not to be read. */
  readonly secrets: readonly SecretMaterial[] | null;
  /** What is wrong with `once.passwordFile`; null where nothing is, or nobody needs it. */
  readonly password: string | null;
  readonly io: Io;
  readonly now: number;
}

function report({ config, file, sha256, warnings }: LoadedConfig, { secrets, password, io, now }: Checked): number {
  const troubles = secrets === null ? [] : secretTroubles(config, { secrets, now });
  const notes = [
    ...warnings.map(formatProblem),
    ...(secrets ?? []).flatMap(({ id, warnings: odd }) => odd.map((warning) => `secret ${id}: ${warning}`)),
    ...(secrets === null ? [] : missingIds(config, secrets)),
    ...(password === null ? [] : [password]),
  ];
  const sections = [
    ['Configuration', [file === null ? 'the environment alone' : `${file} (sha256 ${sha256})`]],
    ['Routes', routeLines(config)],
    ['Secrets', secrets === null ? sourceLines(config.secrets) : secretLines(secrets, now)],
    ['Limits', limitLines(config)],
    ['Warnings', notes],
  ] as const;
  for (const [title, lines] of sections) {
    if (lines.length > 0) io.stdout(`${title}\n${lines.map((line) => `  ${line}\n`).join('')}\n`);
  }
  if (troubles.length === 0) {
    io.stdout(
      secrets === null ? 'The configuration is valid; secrets were not read.\n' : 'The configuration is valid.\n',
    );
    return 0;
  }
  io.stderr(`${troubles.join('\n')}\n`);
  return 2;
}

/** Why serve would start, but not be ready. */
function secretTroubles(
  config: Config,
  { secrets, now }: { secrets: readonly SecretMaterial[]; now: number },
): string[] {
  const unusable = secrets.flatMap(({ id, source, problem }) => {
    if (problem === null) return [];
    return [id === source ? `${source}: ${problem}` : `secret ${id} (${source}): ${problem}`];
  });
  const unready = verifyRoutes(config)
    .filter(({ mode, reportUntil }) => mode === 'enforce' || (reportUntil !== null && reportUntil <= now))
    .filter((route) => usableSecrets(route, { secrets, now }).length === 0)
    .map(({ path }) => `route ${path}: no live secret, so its requests are answered with 503`);
  return [...unusable, ...unready];
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
