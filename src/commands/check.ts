// `check`: asks the running proxy how things stand, and prints it line by line. It shares the container's memory
// with the proxy, so it must load no part of the proxy that it does not need. It must never read a secret.
import { hash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { namedConfig } from '../base/default-places.ts';
import { printable } from '../base/printable.ts';
import { fileProblem } from '../base/regular-file.ts';
import { DIAGNOSES } from '../health/diagnoses.ts';
import type { ApiStatus } from '../health/health.ts';
import { command, type Io } from './command.ts';
import { adminPort, askStatus } from './running-proxy.ts';
import { endOf, tried } from './waiting.ts';

interface Line {
  readonly id: string;
  readonly state: keyof typeof COLOURS;
  readonly message: string;
  /** The remedy, and the page in docs/ that explains it; null for a line that is ok. */
  readonly remedy: string | null;
  readonly page: string | null;
}

export const run = command('check', async ({ values }, io) => {
  const named = namedConfig(values.config, io.env);
  const isSettled = (lines: readonly Line[]) => lines.every(({ state }) => state === 'ok' || state === 'warning');
  const lines = await tried(endOf(values.wait), () => look(named, io), isSettled);
  // A rollout that waits must not pass because its time was over before the judge's first ten seconds were.
  const isOk = lines.every((line) => line.state !== 'failed' && (line !== FRESH || values.wait === undefined));
  io.stdout(values.json ? `${printable(JSON.stringify({ ok: isOk, checks: lines }))}\n` : textOf(lines, io));
  return isOk ? 0 : 1;
});

/** The lines of one look: the worst first, equal ones in the order found. */
async function look(named: string | null, io: Io): Promise<readonly Line[]> {
  const { url } = await adminPort(named, io.env);
  const status = await askStatus(url);
  const lines =
    typeof status === 'string'
      ? await withoutProxy(url, status, named, io)
      : [...(await configurationLine(named, status)), ...statusLines(status)];
  const order = Object.keys(COLOURS);
  return lines.toSorted((a, b) => order.indexOf(a.state) - order.indexOf(b.state));
}

// --- where no proxy answers

async function withoutProxy(url: URL, failure: string, file: string | null, io: Io): Promise<readonly Line[]> {
  const message = `No proxy answers at ${url.href}: ${failure}.`;
  const ready: Line = { id: 'ready', state: 'failed', message, remedy: RUNS, page: DIAGNOSES['not-ready'].page };
  return (await isRefused(file, io)) ? [REFUSED, ready] : [ready];
}

const RUNS =
  'If it runs, run check on its host or in its container: --config, $ADMIN_HOST and $ADMIN_PORT tell its admin port. Else start it.';

const REFUSED: Line = {
  id: 'configuration',
  state: 'failed',
  message:
    'serve refuses this configuration. A proxy that started before may still run, with the former one and its admin port.',
  remedy: 'Correct it: check-config lists every problem at once, with its place.',
  page: 'configuration.md',
};

/** True if `serve` would refuse the configuration; check-config says why. `file`: null for the usual places. */
async function isRefused(file: string | null, { env }: Io): Promise<boolean> {
  // Loaded only here: the parser and its libraries take as much memory as the rest of this command.
  const { loadConfig } = await import('../config/load.ts');
  const { buildTls, readTlsFiles } = await import('../runtime/tls-files.ts');
  try {
    const { config } = await loadConfig({ file, env });
    return buildTls(config, await readTlsFiles(config), null).failures.length > 0;
  } catch (error) {
    if (!(error instanceof Error) || error.name !== 'ConfigError') throw error;
    return true;
  }
}

// --- where a proxy answers

/**
 * Says whether the file, which is only hashed, is the configuration in use. `named`: the file that the user named. No
 * line if the proxy runs without a file, since its environment never changes, or if the advice already says what is
 * wrong with the file: a reload that refused it, or keys that await a restart.
 */
async function configurationLine(named: string | null, status: ApiStatus): Promise<readonly Line[]> {
  const { config, lastReload } = status;
  const file = named === null ? config.file : resolve(named);
  if (file === null) return [];
  const id = 'configuration';
  const content = await readFile(file).catch((error: unknown) => fileProblem(error));
  if (typeof content === 'string') {
    const message = `${file} cannot be compared with the configuration in use: ${content}.`;
    const remedy = 'Run check where the file is, or name it with --config.';
    return [{ id, state: named === null ? 'unknown' : 'failed', message, remedy, page: 'configuration.md' }];
  }
  if (hash('sha256', content, 'hex') === config.sha256) {
    return config.awaitingRestart.length > 0 ? [] : [ok(id, `${file} is the configuration in use.`)];
  }
  if (file === config.file && lastReload?.refused === true) return [];
  const changed = file === config.file ? ': it has changed' : `, which is ${config.file ?? 'the environment alone'}`;
  const message = `${file} is not the configuration in use${changed}.`;
  const remedy = 'The proxy reads a changed file within seconds. Ask it now with POST /-/reload, or restart it.';
  return [{ id, state: 'failed', message, remedy, page: DIAGNOSES['reload-failed'].page }];
}

/** A line for each sentence in `right` and each item of `advice`, after one for each thing that is not known yet. */
export function statusLines({ upstream, right, advice, isFresh, once, deferred }: ApiStatus): readonly Line[] {
  const unknown = [
    upstream.exposure === 'unknown' && NOT_LOOKED,
    isFresh && FRESH,
    once?.isKnown === false && { id: 'once', ...NO_ANSWER, page: 'once.md' },
    deferred?.state === 'unknown' && { id: 'redelivery', ...NO_ANSWER, page: 'redelivery.md' },
  ].filter((line) => line !== false && line !== undefined);
  return [...unknown, ...right.map(({ id, message }) => ok(id, message)), ...advice.map(lineOf)];
}

const NOT_LOOKED: Line = {
  id: 'exposed',
  state: 'unknown',
  message: 'Whether clients can bypass the proxy is not known: it has not looked, or has no address to look at.',
  remedy: 'Set $POD_IP to the address of the pod, as the chart does; the first look comes with the start.',
  page: DIAGNOSES.exposed.page,
};

const FRESH: Line = {
  id: 'deliveries',
  state: 'unknown',
  message:
    'A delivery was not taken a moment ago: ten seconds after the first one it is known whether its route fails.',
  remedy: 'Look again, or let check --wait do it.',
  page: DIAGNOSES['deliveries-lost'].page,
};

const NO_ANSWER = {
  state: 'unknown',
  message: 'What its store holds, and whether it works, is not known yet: it has not answered.',
  remedy: 'Wait: within seconds it answers, or what is wrong with it is told.',
} as const;

const ok = (id: string, message: string): Line => ({ id, state: 'ok', message, remedy: null, page: null });

function lineOf({ id, state, remedy, page, follows, message: own }: ApiStatus['advice'][number]): Line {
  const message = [own, ...follows.map(({ id, message }) => `So ${id}: ${message}`)].join('\n');
  return state === 'ok' || state === 'note' ? ok(id, message) : { id, state, message, remedy, page };
}

// --- the output as text

/** The states of a line in the order of the output, the worst first, with their colours. */
const COLOURS = { failed: 'red', unknown: 'yellow', warning: 'yellow', ok: 'green' } as const;
const INDENT = ' '.repeat(9);

function textOf(lines: readonly Line[], { paint }: Io): string {
  const texts = lines.map(({ id, state, message, remedy, page }) => {
    const text = message
      .replace(/^Configuration: /, '')
      .split('\n')
      .map(printable)
      .join(`\n${INDENT}`);
    // An image holds no docs, and a diagnosis is a section of alerts.md.
    const [, diagnosis] = /^alerts\.md#([a-z-]+)$/.exec(page ?? '') ?? [];
    const see = diagnosis === undefined ? '' : `entrupy-signature-proxy explain ${diagnosis}, or `;
    const more = paint('dim', `See ${see}docs/${printable(page ?? '')}`);
    const next = state === 'ok' ? '' : `${INDENT}${printable(remedy ?? '')} ${more}\n`;
    return `${paint(COLOURS[state], state.padEnd(8))} ${printable(id)}: ${text}\n${next}`;
  });
  const count = (wanted: Line['state']) => lines.filter(({ state }) => state === wanted).length;
  const warnings = `${count('warning')} ${count('warning') === 1 ? 'warning' : 'warnings'}`;
  return `${texts.join('')}\n${count('failed')} failed, ${count('unknown')} unknown, ${warnings}.\n`;
}
