// A log line for people, made from the same line as JSON. Text from a client must not control the terminal: every
// escape that the JSON had is put back.
import type { Paint } from '../base/colour.ts';
import { printable } from '../base/printable.ts';
import type { LogLevel } from './log.ts';

type Fields = Readonly<Record<string, unknown>>;

const TONES = { debug: 'dim', info: 'green', warn: 'yellow', error: 'red' } as const;

/**
 * One event: its time (UTC), level and message, then its short fields as `name=value`. A text with spaces, and each
 * item of a list, has a line of its own below. `json` and the result end in a line break.
 */
export function textLine(json: string, paint: Paint): string {
  const { time, level, msg, ...fields } = JSON.parse(json) as Fields;
  const clock = String(time).slice(0, 19).replace('T', ' ');
  const word = paint(TONES[level as LogLevel], String(level).padEnd(5));
  const isRequest = msg === 'request';
  const short: string[] = [];
  const long: string[] = [];
  for (const [name, value] of Object.entries(fields)) {
    if (isRequest && HEADLINE.has(name)) continue;
    const texts = Array.isArray(value) ? value.map(shown) : [shown(value)];
    if (Array.isArray(value) || / /.test(texts[0] ?? '')) long.push(...texts.map((text) => `\n    ${name}: ${text}`));
    else short.push(`${name}=${texts[0]}`);
  }
  const headline = isRequest ? requestHeadline(fields) : printable(String(msg));
  const details = [...(short.length > 0 ? [`  ${short.join(' ')}`] : []), ...long].join('');
  return `${paint('dim', clock)} ${word} ${paint('bold', headline)}${paint('dim', details)}\n`;
}

const HEADLINE: ReadonlySet<string> = new Set(['method', 'path', 'status', 'decision', 'reason']);

/** `401 POST /notify: rejected, signature_mismatch`. */
function requestHeadline({ method, path, status, decision, reason }: Fields): string {
  const why = reason === 'none' ? '' : `, ${reason}`;
  return printable(`${status} ${method} ${path}: ${decision}${why}`);
}

function shown(value: unknown): string {
  return printable(typeof value === 'string' ? value : JSON.stringify(value));
}
