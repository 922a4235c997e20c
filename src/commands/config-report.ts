// The configuration as people read it: tables of routes, secrets and limits. Pure; it must never be handed a value of a
// secret, and takes nothing of one but its id, source and state.
import type { Config, SecretSource } from '../config/config.ts';
import { formatDuration, formatSize } from '../config/units.ts';
import type { Route } from '../core/routes.ts';
import { deliversOnce } from '../runtime/policy.ts';
import type { SecretMaterial } from '../secrets/material.ts';
import { sourceName } from '../secrets/sources.ts';

type VerifyRoute = Pick<Route, 'path' | 'secrets' | 'mode' | 'reportUntil'>;

/** The routes that need a secret, `unmatched` among them where it verifies. */
export function verifyRoutes(config: Config): readonly VerifyRoute[] {
  const configured: VerifyRoute[] = config.routes.filter(({ action }) => action === 'verify');
  if (config.unmatched !== 'verify') return configured;
  return [...configured, { path: 'unmatched', secrets: null, mode: 'enforce', reportUntil: null }];
}

/** The secrets of a route that are valid at `now` (epoch milliseconds). */
export function usableSecrets(
  route: VerifyRoute,
  { secrets, now }: { readonly secrets: readonly SecretMaterial[]; readonly now: number },
): readonly SecretMaterial[] {
  return secrets.filter(
    (secret) => (route.secrets === null || route.secrets.includes(secret.id)) && stateOf(secret, now) === 'live',
  );
}

function stateOf({ problem, notBefore, notAfter }: SecretMaterial, now: number): string {
  if (problem !== null) return `cannot be used: ${problem}`;
  if (notBefore !== null && now < notBefore) return `not valid before ${isoDate(notBefore)}`;
  if (notAfter !== null && now >= notAfter) return `expired at ${isoDate(notAfter)}`;
  return 'live';
}

const isoDate = (ms: number) => new Date(ms).toISOString().replace('.000Z', 'Z');

export function routeLines(config: Config): readonly string[] {
  const rows = config.routes.map((route) => [
    route.path,
    route.action,
    route.action === 'reject' ? '-' : (route.methods?.join(',') ?? 'all'),
    ...(route.action === 'verify' ? verifyCells(route) : ['-', '-', '-']),
    optionCell(route),
  ]);
  const rest = {
    verify: ['POST', 'all', 'enforce', formatSize(config.limits.maxBody)],
    forward: ['all', '-', '-', '-'],
    reject: ['-', '-', '-', '-'],
  }[config.unmatched];
  const head = ['path', 'action', 'methods', 'secrets', 'mode', 'maxBody', 'options'];
  return table([head, ...rows, ['unmatched', config.unmatched, ...rest, '-']]);
}

function verifyCells({ secrets, mode, reportUntil, maxBody }: Route): readonly string[] {
  const until = reportUntil === null ? mode : `${mode} until ${isoDate(reportUntil)}`;
  return [secrets?.join(',') ?? 'all', until, formatSize(maxBody)];
}

function optionCell({ query, once, upgrade, allowHeaders, responseTimeout, idleTimeout }: Route): string {
  const options = [
    query === 'forward' ? '' : 'query refuse',
    once === null ? '' : `once ${formatDuration(once)}`,
    upgrade.length === 0 ? '' : `upgrade ${upgrade.join(',')}`,
    allowHeaders.length === 0 ? '' : `allowHeaders ${allowHeaders.join(',')}`,
    responseTimeout === null ? '' : `responseTimeout ${formatDuration(responseTimeout)}`,
    idleTimeout === null ? '' : `idleTimeout ${formatDuration(idleTimeout)}`,
  ];
  return options.filter((option) => option !== '').join(', ') || '-';
}

export function secretLines(secrets: readonly SecretMaterial[], now: number): readonly string[] {
  if (secrets.length === 0) return ['none'];
  const rows = secrets.map((secret) => [secret.id, secret.source, stateOf(secret, now)]);
  return table([['id', 'source', 'state'], ...rows]);
}

/** The sources alone, where the secrets were not read. */
export function sourceLines(sources: readonly SecretSource[]): readonly string[] {
  if (sources.length === 0) return ['none'];
  const rows = sources.map((source) => [source.kind === 'directory' ? '*' : source.id, sourceName(source), 'not read']);
  return table([['id', 'source', 'state'], ...rows]);
}

export function limitLines(config: Config): readonly string[] {
  const { limits, upstream, shutdown, once } = config;
  const { maxBody, bufferedBytes, maxHeader, headersTimeout, bodyTimeout, connections, connectionAge } = limits;
  return table([
    ['maxBody', formatSize(maxBody)],
    ['bufferedBytes', bufferedBytes === 'auto' ? 'auto' : formatSize(bufferedBytes)],
    ['maxHeader', formatSize(maxHeader)],
    ['headersTimeout', formatDuration(headersTimeout)],
    ['bodyTimeout', formatDuration(bodyTimeout)],
    ['connections', `${connections}, ${upstream.connections} to ${upstream.url}`],
    ['connectionAge', formatDuration(connectionAge)],
    ['shutdown', `delay ${formatDuration(shutdown.delay)}, grace ${formatDuration(shutdown.grace)}`],
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
