// The log: one line of JSON per event, or text for people. It must never throw, whatever it is given, and never print
// bytes: a Buffer in a field may be a body or a secret. Text from a client is cut, without query and control characters.
import { type Paint, printable, shortened } from '../base/printable.ts';

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';
export type Fields = Readonly<Record<string, unknown>>;

export interface Log extends Readonly<Record<LogLevel, (msg: string, fields?: Fields) => void>> {
  /** The lowest level that is written. */
  level: LogLevel;
  enabled(level: LogLevel): boolean;
}

const RANK: Readonly<Record<LogLevel, number>> = { debug: 0, info: 1, warn: 2, error: 3 };
const MAX_TEXT = 4096;

/** `write` receives one line, including its `\n`. */
export function createLog(lowest: LogLevel, write: (line: string) => void): Log {
  const at =
    (level: LogLevel) =>
    (msg: string, fields: Fields = {}) => {
      if (log.enabled(level)) write(`${printable(toJson({ time: new Date().toISOString(), level, msg }, fields))}\n`);
    };
  const log: Log = {
    level: lowest,
    enabled: (level) => RANK[level] >= RANK[log.level],
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
  };
  return log;
}

/** `own` comes first and wins: a second `msg` in one object would hide the first from most readers. */
function toJson(own: Fields, fields: Fields): string {
  try {
    return JSON.stringify({ ...own, ...fields, ...own }, replacer);
  } catch {
    return JSON.stringify({ ...own, fields: '[not serializable]' }, replacer); // cyclic, a getter or toJSON that throws
  }
}

/** The JSON.stringify replacer. `this` holds the original value, from before any toJSON. */
function replacer(this: unknown, key: string, value: unknown): unknown {
  const original = (this as Fields)[key];
  if (ArrayBuffer.isView(original) || original instanceof ArrayBuffer) return `[${original.byteLength} bytes]`;
  if (original instanceof Error) {
    const { name, message, code, cause }: NodeJS.ErrnoException = original;
    return { name, message, code, cause };
  }
  return typeof value === 'string' ? shortened(value, MAX_TEXT) : value;
}

// --- the line for people

const TONES = { debug: 'dim', info: 'green', warn: 'yellow', error: 'red' } as const;

/**
 * A JSON line as text for people. Text from a client must not control the terminal: every escape that the JSON had is
 * put back. Time (UTC), level and message come first, then short fields as `name=value`. A text with spaces, and each
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
    const texts = Array.isArray(value) ? value.map(fieldText) : [fieldText(value)];
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

function fieldText(value: unknown): string {
  return printable(typeof value === 'string' ? value : JSON.stringify(value));
}
