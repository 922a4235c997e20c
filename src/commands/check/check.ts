// `check`: asks the running proxy how things stand, and says it line by line. It shares the container's memory with the
// proxy, so it must load no part of it that it does not need. It must never read a secret.
import { setTimeout as sleep } from 'node:timers/promises';
import { namedConfig } from '../../base/default-places.ts';
import { printable } from '../../base/printable.ts';
import { DURATION } from '../../config/units.ts';
import { DIAGNOSES } from '../../core/diagnoses-and-remedies.ts';
import { adminPort } from '../ask.ts';
import { command, type Io, usageError } from '../command-line.ts';
import { CONFIG_OPTION, JSON_OPTION } from '../definition.ts';
import { configurationAlone, configurationLine } from './configuration-in-use.ts';
import { askStatus } from './read-status.ts';
import { failed, type Line, statusLines, worstFirst } from './status-lines.ts';

export const definition = {
  name: 'check',
  usage: '[--config FILE] [--wait DURATION] [--json]',
  about: `
Asks the running proxy, through its admin port, how things stand: whether it is ready, uses the
configuration in the file, has a live secret for each enforcing route, reaches its upstream, and more.
Each line is ok, warning, failed or unknown; one that is not ok says what to do, and where to read more.
What is not configured has no line. No secret is read; probe sends a signed request.

  entrupy-signature-proxy check --wait 30s`,
  options: {
    ...CONFIG_OPTION,
    wait: { type: 'string', value: 'DURATION', does: 'until nothing is failed or unknown, at most this long' },
    ...JSON_OPTION,
  },
  exits: [
    ['0', 'nothing failed'],
    ['1', 'something failed, or the proxy cannot be reached'],
    ['2', 'the command line cannot be used'],
  ],
  json: [
    ['ok', '`true` if nothing failed'],
    ['checks[].id', 'its subject, such as `upstream`, or its diagnosis; several lines may share one'],
    ['checks[].state', '`ok`, `warning`, `failed`, `unknown`'],
    ['checks[].message', 'what was found, then a line for each thing that follows from it'],
    ['checks[].remedy', 'what to do; `null` for a line that is ok'],
    ['checks[].page', 'the page and section of these docs; `null` for a line that is ok'],
  ],
} as const;

const AGAIN_AFTER_MS = 1000;

export const run = command(definition, async ({ values }, io) => {
  const wait = values.wait === undefined ? 0 : DURATION.parse(values.wait);
  if (wait === null) throw usageError(`--wait takes ${DURATION.name} such as ${DURATION.examples}`);
  const lines = await lookUntil(performance.now() + wait, namedConfig(values.config, io.env), io);
  const isOk = lines.every(({ state }) => state !== 'failed');
  io.stdout(values.json ? `${JSON.stringify({ ok: isOk, checks: lines })}\n` : textOf(lines, io));
  return isOk ? 0 : 1;
});

/** Looks again until nothing is failed or unknown; the last time at `until`, on the monotonic clock. */
async function lookUntil(until: number, named: string | null, io: Io): Promise<readonly Line[]> {
  for (;;) {
    const isLast = performance.now() >= until;
    const lines = await look(named, io);
    if (isLast || lines.every(({ state }) => state === 'ok' || state === 'warning')) return lines;
    await sleep(Math.max(0, Math.min(AGAIN_AFTER_MS, until - performance.now())));
  }
}

async function look(named: string | null, { env }: Io): Promise<readonly Line[]> {
  const { url } = await adminPort(named, env);
  const status = await askStatus(url);
  if (typeof status === 'string') return unreachable(url, status, await configurationAlone(named, env));
  return worstFirst([...(await configurationLine(named, status)), ...statusLines(status)]);
}

function unreachable(url: URL, failure: string, configuration: Line): readonly Line[] {
  const page = DIAGNOSES['not-ready'].page;
  const ready = failed('ready', {
    message: `No proxy answers at ${url.href}: ${failure}.`,
    remedy:
      'Start it, or run check on its host or in its container. --config, $ADMIN_HOST and $ADMIN_PORT tell its admin port.',
    page,
  });
  return [ready, configuration];
}

const COLOURS = { ok: 'green', warning: 'yellow', failed: 'red', unknown: 'yellow' } as const;
const INDENT = ' '.repeat(9);

function textOf(lines: readonly Line[], { paint }: Io): string {
  const texts = lines.map(({ id, state, message, remedy, page }) => {
    const text = message
      .replace(/^Configuration: /, '')
      .split('\n')
      .map(printable)
      .join(`\n${INDENT}`);
    const next = state === 'ok' ? '' : `${INDENT}${printable(remedy ?? '')} ${paint('dim', `See docs/${page}`)}\n`;
    return `${paint(COLOURS[state], state.padEnd(8))} ${id}: ${text}\n${next}`;
  });
  const count = (wanted: Line['state']) => lines.filter(({ state }) => state === wanted).length;
  const warnings = `${count('warning')} ${count('warning') === 1 ? 'warning' : 'warnings'}`;
  const counts = `${count('failed')} failed, ${count('unknown')} unknown, ${warnings}.`;
  return `${texts.join('')}\n${lines.every(({ state }) => state === 'ok') ? 'Nothing is wrong.' : counts}\n`;
}
