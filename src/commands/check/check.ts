// `check`: asks the running proxy how things stand, and says it line by line. It shares the container's memory with the
// proxy, so it must load no part of it that it does not need. It must never read a secret without --probe.
import { setTimeout as sleep } from 'node:timers/promises';
import type { ApiStatus } from '../../admin/advice.ts';
import { PAGES } from '../../admin/advice-pages.ts';
import { printable } from '../../base/printable.ts';
import { DURATION } from '../../config/units.ts';
import { adminPort, namedConfig } from '../admin-port.ts';
import { askWhole } from '../ask.ts';
import { command, type Io, usageError } from '../command-line.ts';
import { CONFIG_OPTION, JSON_OPTION } from '../definition.ts';
import { configurationLine } from './configuration-in-use.ts';
import { failed, type Line, statusLines, unknown } from './status-lines.ts';

export const definition = {
  name: 'check',
  usage: '[--config FILE] [--probe TARGET] [--wait DURATION] [--json]',
  about: `
Asks the running proxy, through its admin port, how things stand: whether it is ready, uses the
configuration in the file, has a live secret for each enforcing route, reaches its upstream, and more.
Each line is ok, warning, failed or unknown; one that is not ok says what to do, and where to read more.
What is not configured has no line. Without --probe no secret is read.

With --probe it also sends two POSTs to TARGET on the traffic port: an unsigned one, which must get 401,
and one signed with a live secret of the route, which must not. The signed one reaches your app. Log,
metrics and status page count both.

  entrupy-signature-proxy check --wait 30s --probe /notify`,
  options: {
    ...CONFIG_OPTION,
    probe: { type: 'string', value: 'TARGET', does: 'a path, with a query if needed, of a verified route' },
    wait: {
      type: 'string',
      value: 'DURATION',
      does: 'looks again until nothing is failed or unknown, for so long at most',
    },
    ...JSON_OPTION,
  },
  exits: [
    ['0', 'nothing failed'],
    ['1', 'something failed, or the proxy cannot be reached'],
    ['2', 'the command line cannot be used'],
  ],
  json: [
    ['ok', '`true` if nothing failed'],
    [
      'checks[].id',
      'what the line is about, such as `ready`, `configuration`, `secrets`, `upstream`; several lines may share one',
    ],
    ['checks[].state', '`ok`, `warning`, `failed`, `unknown`'],
    ['checks[].message', 'what was found'],
    ['checks[].remedy', 'what to do; `null` for a line that is ok'],
    ['checks[].page', 'the page and section of these docs; `null` for a line that is ok'],
  ],
} as const;

/** /api/status connects to the upstream twice if it must, a second each. */
const TIMEOUT = 5_000;
const AGAIN_AFTER_MS = 1000;

export const run = command(definition, async ({ values }, io) => {
  const target = values.probe;
  if (target !== undefined && !target.startsWith('/')) throw usageError('--probe takes a target that begins with /');
  const wait = values.wait === undefined ? 0 : DURATION.parse(values.wait);
  if (wait === null) throw usageError(`--wait takes ${DURATION.name} such as ${DURATION.examples}`);
  const lines = await lookUntil(performance.now() + wait, { named: namedConfig(values.config, io.env), target, io });
  const isOk = lines.every(({ state }) => state !== 'failed');
  io.stdout(values.json ? `${JSON.stringify({ ok: isOk, checks: lines })}\n` : textOf(lines, io));
  return isOk ? 0 : 1;
});

const isSettled = ({ state }: Line) => state === 'ok' || state === 'warning';

interface Look {
  readonly named: string | null;
  readonly target: string | undefined;
  readonly io: Io;
}

/** Looks again until nothing is failed or unknown; the last time at `until`, on the monotonic clock. */
async function lookUntil(until: number, what: Look): Promise<readonly Line[]> {
  for (;;) {
    const isLast = performance.now() >= until;
    const { status, lines } = await look(what);
    // The signed probe reaches the app, so it is not sent again and again while anything else is wrong.
    const probes = isLast || lines.every(isSettled) ? await probe(status, what) : [];
    const all = [...lines, ...probes];
    if (isLast || all.every(isSettled)) return all;
    await sleep(Math.max(0, Math.min(AGAIN_AFTER_MS, until - performance.now())));
  }
}

async function look({ named, io }: Look) {
  const { url } = await adminPort(named, io.env);
  const { status, failure } = await statusAt(url);
  const configuration = await configurationLine(named, status, io.env);
  const [ready, ...others] = status === null ? unreachable(url, failure) : statusLines(status);
  let deferred: Line | null = null;
  if (status?.deferred === null) {
    const { deferredLine } = await import('./deferred-without-route.ts');
    deferred = await deferredLine(named ?? status.config.file);
  }
  return { status, lines: [ready, configuration, ...others, deferred].filter((line) => line != null) };
}

async function probe(status: ApiStatus | null, { named, target, io }: Look): Promise<readonly Line[]> {
  if (target === undefined || status === null) return [];
  const { probeLines } = await import('./probe-requests.ts');
  return probeLines(target, { file: named ?? status.config.file, status, env: io.env });
}

type Found =
  | { readonly status: ApiStatus; readonly failure: null }
  | { readonly status: null; readonly failure: string };

async function statusAt(admin: URL): Promise<Found> {
  const { status: code, text } = await askWhole({ url: new URL('/api/status', admin), timeout: TIMEOUT });
  if (code === null) return { status: null, failure: text };
  try {
    const status = JSON.parse(text) as ApiStatus;
    if (code === 200 && Array.isArray(status.advice)) return { status, failure: null };
  } catch {
    // Another program.
  }
  return { status: null, failure: `it answers ${code}, but not as this version of the proxy does` };
}

function unreachable(url: URL, failure: string): readonly Line[] {
  const page = PAGES.start;
  const ready = failed('ready', {
    message: `No proxy answers at ${url.href}: ${failure}.`,
    remedy: 'Start it, or run check on its host or in its container. --config or $ADMIN_PORT tells its admin port.',
    page,
  });
  const message = 'Not known, since no proxy answers.';
  const rest = ['secrets', 'upstream'].map((id) => unknown(id, { message, remedy: 'Start the proxy.', page }));
  return [ready, ...rest];
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
