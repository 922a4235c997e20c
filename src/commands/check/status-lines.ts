// The lines of `check` on a running proxy: its advice, and what is right. No text of them exists here.
import type { ApiStatus } from '../../admin/advice/advice.ts';
import { DIAGNOSES, type Diagnosis } from '../../core/diagnoses-and-remedies.ts';

export interface Line {
  readonly id: string;
  readonly state: 'ok' | 'warning' | 'failed' | 'unknown';
  readonly message: string;
  /** The remedy, and the page in docs/ that explains it; null for a line that is ok. */
  readonly remedy: string | null;
  readonly page: string | null;
}

type Said = Pick<Line, 'message' | 'remedy' | 'page'>;

export const ok = (id: string, message: string): Line => ({ id, state: 'ok', message, remedy: null, page: null });
export const failed = (id: string, said: Said): Line => ({ id, state: 'failed', ...said });
export const unknown = (id: string, said: Said): Line => ({ id, state: 'unknown', ...said });

/** Warnings of the status page that fail a check: no delivery is lost yet, but this is not how it was meant to run. */
const FAILS: ReadonlySet<Diagnosis> = new Set([
  'draining',
  'not-ready',
  'exposed',
  'reload-failed',
  'awaiting-restart',
]);

export function statusLines(s: ApiStatus): readonly Line[] {
  return [...notYetKnown(s), ...s.right.map(({ id, message }) => ok(id, message)), ...s.advice.map(lineOf)];
}

function lineOf(advice: ApiStatus['advice'][number]): Line {
  const { id, state, remedy, page, follows } = advice;
  const message = [advice.message, ...follows.map((one) => `So ${one.id}: ${one.message}`)].join('\n');
  if (state === 'ok' || state === 'note') return ok(id, message);
  return { id, state: [advice, ...follows].some((one) => FAILS.has(one.id)) ? 'failed' : state, message, remedy, page };
}

function notYetKnown({ upstream: { exposure } }: ApiStatus): readonly Line[] {
  if (exposure !== 'unknown') return [];
  const remedy = 'Set $POD_IP to the address of the pod, as the chart does; the first look comes with the start.';
  const message = 'Whether clients can bypass the proxy is not known: it has not looked, or has no address to look at.';
  return [unknown('exposed', { message, remedy, page: DIAGNOSES.exposed.page })];
}

const ORDER = ['failed', 'unknown', 'warning', 'ok'];

/** The worst first; else as they come. */
export function worstFirst(lines: readonly Line[]): readonly Line[] {
  return lines.toSorted((a, b) => ORDER.indexOf(a.state) - ORDER.indexOf(b.state));
}
