// The log: one JSON line per event. It must never throw, whatever it is given, and never print bytes: a Buffer in a
// field may be a body or a secret. Text from a client is cut, without its query, and cannot control a terminal.
import { pathOf } from '../core/targets.ts';

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';
type Fields = Readonly<Record<string, unknown>>;
type LevelMethods = { readonly [Level in LogLevel]: (msg: string, fields?: Fields) => void };

export interface Log extends LevelMethods {
  enabled(level: LogLevel): boolean;
  setLevel(level: LogLevel): void;
  /** Epoch milliseconds, by the log's own clock. */
  now(): number;
  /** A cheap line for the request log. `tail` is JSON members, each led by a comma: `,"route":"/notify"`. */
  line(level: LogLevel, msg: string, tail: string): void;
}

export interface LogOptions {
  readonly level: LogLevel;
  /** Receives one line, including its `\n`. */
  readonly write: (line: string) => void;
  /** Epoch milliseconds. */
  readonly now: () => number;
}

const RANK: Readonly<Record<LogLevel, number>> = { debug: 0, info: 1, warn: 2, error: 3 };
const LONGEST_TEXT = 4096;
const OWN_FIELDS: ReadonlySet<string> = new Set(['time', 'level', 'msg']);

/** A log that writes lines of `level` and above. */
export function createLog(options: LogOptions): Log {
  const { write, now } = options;
  let threshold = RANK[options.level];
  const enabled = (level: LogLevel) => RANK[level] >= threshold;
  const line = (level: LogLevel, msg: string, tail: string) => {
    if (!enabled(level)) return;
    const time = new Date(now()).toISOString();
    write(`{"time":"${time}","level":"${level}","msg":${jsonString(shortened(msg, LONGEST_TEXT))}${tail}}\n`);
  };
  const at = (level: LogLevel) => (msg: string, fields?: Fields) => {
    if (enabled(level)) line(level, msg, fields === undefined ? '' : fieldsTail(fields));
  };
  return {
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    line,
    enabled,
    now,
    setLevel: (level) => {
      threshold = RANK[level];
    },
  };
}

function fieldsTail(fields: Fields): string {
  let tail = '';
  for (const name of Object.keys(fields)) {
    const json = fieldJson(fields, name);
    if (json === undefined) continue;
    // A second `msg` in one object would hide the first from most readers.
    tail += `,${jsonString(OWN_FIELDS.has(name) ? `${name}_` : name)}:${json}`;
  }
  return tail;
}

function fieldJson(fields: Fields, name: string): string | undefined {
  try {
    const json = JSON.stringify(fields[name], plain);
    return json === undefined ? undefined : escapeUnsafe(json);
  } catch {
    return '"[not serializable]"'; // cyclic, a getter or toJSON that throws
  }
}

/** The JSON.stringify replacer. `this` is the holder: it still has the value as it was before any toJSON. */
function plain(this: unknown, key: string, value: unknown): unknown {
  const original = (this as Fields)[key];
  if (ArrayBuffer.isView(original) || original instanceof ArrayBuffer) return `[${original.byteLength} bytes]`;
  if (original instanceof Error) return errorFields(original);
  if (original instanceof Map || original instanceof Set) return [...original];
  if (typeof value === 'function') return '[function]';
  const isText = typeof value === 'string' || typeof value === 'bigint' || typeof value === 'symbol';
  return isText ? shortened(String(value), LONGEST_TEXT) : value;
}

function errorFields(error: Error): Fields {
  const code = 'code' in error ? error.code : undefined;
  return { name: error.name, message: error.message, code, cause: error.cause };
}

const SHOWN_PATH = 256;

/** The path as log and status page show it: cut at 256, and at `?` even where the caller forgot to. */
export function shownPath(path: string): string {
  return pathOf(path.slice(0, SHOWN_PATH));
}

/** Cuts a text that has no natural bound (a method, a hint) at `limit` UTF-16 units. */
export function shortened(text: string, limit: number): string {
  return text.length > limit ? `${text.slice(0, limit)}…` : text;
}

// JSON.stringify only escapes characters below U+0020. Terminals read a C1 control as an escape sequence, some log
// shippers read U+2028 as a line break, and a bidirectional mark displays a path in another order.
const UNSAFE = /[\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;

/** A JSON string, quotes included, that is safe to print on any terminal. */
export function jsonString(text: string): string {
  return escapeUnsafe(JSON.stringify(text));
}

/** The input is JSON, and so is the output. */
function escapeUnsafe(json: string): string {
  return json.replace(UNSAFE, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`);
}
