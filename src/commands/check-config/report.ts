// The output of `check-config` for people.

import type { Config } from '../../config/config.ts';
import { formatProblem, type LoadedConfig } from '../../config/load.ts';
import type { Problem } from '../../config/problems.ts';
import { DURATION, SIZE } from '../../config/units.ts';
import type { Secret } from '../../core/keyring.ts';
import type { Route } from '../../core/routes.ts';
import { outsideByClock, type SecretState } from '../../core/secret-validity.ts';
import { deliversOnce, redelivers, routesOf } from '../../runtime/ruleset.ts';
import type { Io } from '../command-line.ts';
import { table } from '../text-table.ts';

export type Reading = 'secrets too' | 'no secrets';

/** A mistake or warning, with its place or without. */
export type Remark = Problem | string;

export interface Report {
  /** Null if it has errors of its own. */
  readonly loaded: LoadedConfig | null;
  readonly secrets: readonly SecretRow[];
  readonly warnings: readonly Remark[];
  /** Why serve could not start or be ready. */
  readonly errors: readonly Remark[];
}

export interface SecretRow extends Pick<Secret, 'notBefore' | 'notAfter'> {
  readonly id: string;
  readonly source: string;
  readonly state: SecretState | 'unusable' | 'not_read';
  readonly problem: string | null;
}

const sentence = (remark: Remark) => (typeof remark === 'string' ? remark : formatProblem(remark));

export function print({ loaded, secrets, warnings, errors }: Report, reading: Reading, io: Io): void {
  const lines = errors.map(sentence);
  if (loaded === null) {
    io.stderr(`${lines.join('\n')}\n${lines.length} ${lines.length === 1 ? 'error' : 'errors'}\n`);
    return;
  }
  const { config, file, sha256 } = loaded;
  const sections = [
    ['Configuration', [file === null ? 'the environment alone' : `${file} (sha256 ${sha256})`]],
    ['Routes', routeLines(config)],
    ['Secrets', secrets.length === 0 ? ['none'] : table([['id', 'source', 'state'], ...secrets.map(cells)])],
    ['Limits', limitLines(config)],
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

function cells({ id, source, state, problem, ...validity }: SecretRow): readonly string[] {
  if (state === 'not_read') return [id, source, 'not read'];
  return [
    id,
    source,
    problem === null ? (outsideByClock(validity, Date.now()) ?? 'live') : `cannot be used: ${problem}`,
  ];
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

const OPTIONS = ['query', 'once', 'redeliver', 'upgrade', 'allowHeaders', 'responseTimeout', 'idleTimeout'] as const;

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
  const { limits, upstream, shutdown, once, redelivery } = config;
  const { maxEntries, onStoreFailure } = once;
  const shared = once.name === '' ? once.store : `${once.store} as ${once.name}`;
  const deferred = redelivery.name === '' ? redelivery.store : `${redelivery.store} as ${redelivery.name}`;
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
    ...(redelivers(config) ? [['redelivery', `${deferred}, ${SIZE.format(redelivery.maxBytes)}`]] : []),
  ]);
}
