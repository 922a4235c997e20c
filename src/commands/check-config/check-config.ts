// `check-config`: prints every problem at once, or the configuration that `serve` would run with. It must never print a
// secret's value or change anything: it reads secrets and TLS files as serve does, and discards them.
import { certificateAdvice } from '../../admin/advice-certificates.ts';
import type { Config, Salvaged } from '../../config/config.ts';
import { ConfigError, loadConfig } from '../../config/load.ts';
import { stateOf } from '../../core/secret-validity.ts';
import { fitOpenFiles } from '../../runtime/open-files.ts';
import { buildPolicy, deliversOnce, redelivers, routesOf, routesWithoutSecret } from '../../runtime/ruleset.ts';
import { buildTls, certificatesOf, readTlsFiles } from '../../runtime/tls-files.ts';
import { failuresOf, readSecrets } from '../../secrets/rotation.ts';
import { readKeyFile, type SecretMaterial, sourceName } from '../../secrets/sources.ts';
import { command, type Io } from '../command-line.ts';
import { CONFIG_OPTION, JSON_OPTION } from '../definition.ts';
import { print, type Reading, type Remark, type Report, type SecretRow } from './report.ts';

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
    ...JSON_OPTION,
  },
  exits: [
    ['0', 'serve could start and be ready, and its certificates are valid now'],
    ['2', 'it could not, or the command line cannot be used'],
  ],
  json: [
    ['ok', '`true` if the exit code is 0'],
    [
      'file, sha256',
      'the configuration, and the SHA-256 of its bytes; `null` if it is the environment alone, or has errors',
    ],
    [
      'errors[], warnings[]',
      '`file`, `line`, `column`, `key`, `message`; the first four are `null` where there is no such place',
    ],
    [
      'routes[]',
      'as in the configuration, with every default; durations in ms, sizes in bytes; the last one is `unmatched`',
    ],
    [
      'secrets[]',
      '`id`, `source`, `state` (`live`, `not_yet`, `expired`, `unusable`, `not_read`), `problem`, `notBefore`, `notAfter` (epoch ms)',
    ],
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

async function inspect(file: string | null, reading: Reading, io: Io): Promise<Report> {
  try {
    const loaded = fitOpenFiles(await loadConfig({ file, env: io.env }));
    const { config } = loaded;
    const warnings = [...loaded.warnings, ...endedReports(config)];
    if (reading === 'no secrets') return { loaded, secrets: unread(config, io), warnings, errors: [] };
    const { secrets, troubles, ending } = await readFiles(config, io);
    const without = routesWithoutSecret(config, buildPolicy(config, secrets), Date.now());
    const errors = [
      ...troubles,
      ...without.map(({ path }) => `route ${path}: no live secret, so its requests are answered with 503`),
    ];
    return {
      loaded,
      secrets: secrets.map(rowOf),
      warnings: [...warnings, ...ending, ...(await notesOn(config, secrets))],
      errors,
    };
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    const { problems, salvaged } = error;
    const troubles = salvaged === null || reading === 'no secrets' ? [] : (await readFiles(salvaged, io)).troubles;
    return { loaded: null, secrets: [], warnings: [], errors: [...problems, ...troubles] };
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

/**
 * Reads secret sources and TLS files. `troubles` are failures, and certificates that some clients would refuse; `ending`
 * are certificates that will soon be such.
 */
async function readFiles(config: Salvaged, { env }: Io) {
  const tls = buildTls(config, await readTlsFiles(config), null);
  const secrets = await readSecrets(config.secrets, env);
  const now = Date.now();
  const ending = certificatesOf(config, tls).flatMap((certificate) => {
    const advice = certificateAdvice(certificate, now);
    const isValid = now >= certificate.notBefore && now < certificate.notAfter; // else it is among the troubles
    return advice !== null && isValid ? [`${advice.message} ${advice.remedy}`] : [];
  });
  return { secrets, troubles: [...tls.failures, ...tls.warnings, ...failuresOf(secrets)], ending };
}

function rowOf(secret: SecretMaterial): SecretRow {
  const { id, source, problem, key, notBefore, notAfter } = secret;
  return { id, source, state: key === null ? 'unusable' : stateOf(secret, Date.now()), problem, notBefore, notAfter };
}

function unread({ secrets }: Config, { env }: Io): readonly SecretRow[] {
  return secrets.map((source) => {
    const id = source.kind === 'directory' ? '*' : source.id;
    const { notBefore, notAfter } = source;
    return { id, source: sourceName(source, env), state: 'not_read', problem: null, notBefore, notAfter };
  });
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
  const { once, redelivery } = config;
  const asked = [
    ['once', once, once.store !== 'memory' && deliversOnce(config)],
    ['redelivery', redelivery, !redelivery.store.startsWith('/') && redelivers(config)],
  ] as const;
  for (const [section, { passwordFile }, isUsed] of asked) {
    if (!isUsed || passwordFile === null) continue;
    // Not an error: serve starts without the password, and does without the store.
    const { problem } = await readKeyFile(passwordFile, { allowShort: true });
    if (problem !== null) notes.push(`${section}.passwordFile ${passwordFile}: ${problem}`);
  }
  return notes;
}
