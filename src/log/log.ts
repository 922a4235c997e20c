// The log: one JSON line an event (spec §11). It must never throw, whatever it is given, and never print bytes: a Buffer
// in a field may be a body or a secret.
import { escapeUnsafe, jsonString, shortened } from './redact.ts';

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';
export type LogFields = Readonly<Record<string, unknown>>;

/** What most of the program knows of the log. */
export interface Log {
  debug(msg: string, fields?: LogFields): void;
  info(msg: string, fields?: LogFields): void;
  warn(msg: string, fields?: LogFields): void;
  error(msg: string, fields?: LogFields): void;
}

/** What the request log needs besides, to write many lines cheaply. */
export interface LineLog extends Log {
  enabled(level: LogLevel): boolean;
  setLevel(level: LogLevel): void;
  /** Epoch milliseconds, by the log's own clock. */
  now(): number;
  /** `tail` is JSON members ready to be appended, each led by a comma: `,"route":"/notify"`. */
  line(level: LogLevel, msg: string, tail: string): void;
}

export interface LogOptions {
  readonly level: LogLevel;
  /** Takes one line, its `\n` included. */
  readonly write: (line: string) => void;
  /** Epoch milliseconds. */
  readonly now: () => number;
}

const RANK: Readonly<Record<LogLevel, number>> = { debug: 0, info: 1, warn: 2, error: 3 };
const LONGEST_TEXT = 4096;
const OWN_FIELDS: ReadonlySet<string> = new Set(['time', 'level', 'msg']);

/** A log that writes lines of `level` and above. */
export function createLog(options: LogOptions): LineLog {
  const { write, now } = options;
  let threshold = RANK[options.level];
  const enabled = (level: LogLevel) => RANK[level] >= threshold;
  const line = (level: LogLevel, msg: string, tail: string) => {
    if (!enabled(level)) return;
    const time = new Date(now()).toISOString();
    write(`{"time":"${time}","level":"${level}","msg":${jsonString(shortened(msg, LONGEST_TEXT))}${tail}}\n`);
  };
  const at = (level: LogLevel) => (msg: string, fields?: LogFields) => {
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

const nothing = () => {};

/** For tests, and for commands that print their own text. */
export const silentLog: LineLog = {
  debug: nothing,
  info: nothing,
  warn: nothing,
  error: nothing,
  line: nothing,
  setLevel: nothing,
  enabled: () => false,
  now: () => 0,
};

function fieldsTail(fields: LogFields): string {
  let tail = '';
  for (const name of Object.keys(fields)) {
    const json = fieldJson(fields, name);
    if (json === undefined) continue;
    // A second `msg` in one object would hide the first from most readers.
    tail += `,${jsonString(OWN_FIELDS.has(name) ? `${name}_` : name)}:${json}`;
  }
  return tail;
}

function fieldJson(fields: LogFields, name: string): string | undefined {
  try {
    const json = JSON.stringify(fields[name], plain);
    return json === undefined ? undefined : escapeUnsafe(json);
  } catch {
    return '"[not serializable]"'; // cyclic, a getter or toJSON that throws
  }
}

/** The JSON.stringify replacer. `this` is the holder: it still has the value as it was before any toJSON. */
function plain(this: unknown, key: string, value: unknown): unknown {
  const original = holderOf(this)[key];
  if (ArrayBuffer.isView(original)) return `[${original.byteLength} bytes]`;
  if (original instanceof ArrayBuffer) return `[${original.byteLength} bytes]`;
  if (original instanceof Error) return errorFields(original);
  if (original instanceof Map || original instanceof Set) return [...original];
  if (typeof value === 'bigint' || typeof value === 'symbol' || typeof value === 'function') {
    return shortened(typeof value === 'function' ? '[function]' : String(value), LONGEST_TEXT);
  }
  return typeof value === 'string' ? shortened(value, LONGEST_TEXT) : value;
}

function holderOf(holder: unknown): Readonly<Record<string, unknown>> {
  return holder as Readonly<Record<string, unknown>>;
}

function errorFields(error: Error): Record<string, unknown> {
  const code = 'code' in error ? error.code : undefined;
  return { name: error.name, message: error.message, code, cause: error.cause };
}
