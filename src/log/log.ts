// The log: one JSON line per event. It must never throw, whatever it is given, and never print bytes: a Buffer in a
// field may be a body or a secret. Text from a client is cut, has no query, and cannot control a terminal.
import { printable } from '../base/printable.ts';
import { shortened } from './cut-text.ts';

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';
type Fields = Readonly<Record<string, unknown>>;
type Write = (msg: string, fields?: Fields) => void;

export interface Log extends Readonly<Record<LogLevel, Write>> {
  /** The fast path for the request log. `tail` is JSON members, each after a comma: `,"route":"/notify"`. */
  line(level: LogLevel, msg: string, tail: string): void;
  enabled(level: LogLevel): boolean;
  setLevel(level: LogLevel): void;
}

const RANK: Readonly<Record<LogLevel, number>> = { debug: 0, info: 1, warn: 2, error: 3 };
const MAX_TEXT = 4096;
const OWN_FIELDS: ReadonlySet<string> = new Set(['time', 'level', 'msg']);

/** A log that writes lines of level `lowest` and above. `write` receives one line, including its `\n`. */
export function createLog(lowest: LogLevel, write: (line: string) => void): Log {
  let threshold = RANK[lowest];
  const enabled = (level: LogLevel) => RANK[level] >= threshold;
  const line = (level: LogLevel, msg: string, tail: string) => {
    if (!enabled(level)) return;
    const time = new Date().toISOString();
    write(`{"time":"${time}","level":"${level}","msg":${jsonString(shortened(msg, MAX_TEXT))}${tail}}\n`);
  };
  const at =
    (level: LogLevel): Write =>
    (msg, fields = {}) =>
      line(level, msg, fieldsTail(fields));
  return {
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    line,
    enabled,
    setLevel: (level: LogLevel) => {
      threshold = RANK[level];
    },
  };
}

function fieldsTail(fields: Fields): string {
  const members = Object.keys(fields).map((field) => {
    // A second `msg` in one object would hide the first from most readers.
    const name = JSON.stringify(OWN_FIELDS.has(field) ? `${field}_` : field);
    try {
      const json = JSON.stringify(fields[field], plain);
      return json === undefined ? '' : `,${name}:${json}`;
    } catch {
      return `,${name}:"[not serializable]"`; // cyclic, a getter or toJSON that throws
    }
  });
  return printable(members.join(''));
}

/** The JSON.stringify replacer. `this` is the object that has the value, still as it was before any toJSON. */
function plain(this: unknown, key: string, value: unknown): unknown {
  const original = (this as Fields)[key];
  if (ArrayBuffer.isView(original) || original instanceof ArrayBuffer) return `[${original.byteLength} bytes]`;
  if (original instanceof Error) {
    const { name, message, code, cause }: NodeJS.ErrnoException = original;
    return { name, message, code, cause };
  }
  if (original instanceof Map || original instanceof Set) return [...original];
  if (typeof value === 'function') return '[function]';
  const isText = typeof value === 'string' || typeof value === 'bigint' || typeof value === 'symbol';
  return isText ? shortened(String(value), MAX_TEXT) : value;
}

/** A JSON string, quotes included, that is safe to print on any terminal. */
export function jsonString(text: string): string {
  return printable(JSON.stringify(text));
}
