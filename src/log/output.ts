// The output of the log: a stream that may fail or have no reader. It must never end the process, block it or fill its
// memory, since any client can cause lines. A line that finds no room is dropped and counted.
import type { Writable } from 'node:stream';
import { type Paint, painter, printable } from '../base/printable.ts';
import { createLog, type Fields, type LogLevel } from './log.ts';

/** `auto`: text where the stream is a terminal, else json. */
type LogFormat = 'auto' | 'json' | 'text';

type OutputStream = Writable & { readonly isTTY?: boolean };

/** The maximum number of bytes that wait for a reader. */
const MAX_WAITING = 64 * 1024;

export class LogOutput {
  format: LogFormat;
  readonly #stream: OutputStream;
  readonly #paint: Paint;
  /** Lines dropped since the start. */
  dropped = 0;
  /** How many of the dropped lines the log has reported. */
  #reported = 0;
  /** When a line was last dropped, in epoch milliseconds; null for never. */
  lastDropped: number | null = null;
  /** True if the last write failed, perhaps after half a line: the next one begins with a line break. */
  #failed = false;

  constructor(stream: OutputStream, env: Readonly<Record<string, string | undefined>>, format: LogFormat) {
    this.#stream = stream;
    this.#paint = painter(stream, env);
    this.format = format;
    // The callback of a write handles its failure. Without a listener here, Node would end the process.
    stream.on('error', () => {});
    // In Node, a write to a terminal that nobody reads, as after Ctrl-S, blocks the process, and so every client. No
    // public method prevents that.
    const { _handle: handle } = stream as { _handle?: { setBlocking?: (blocking: boolean) => void } };
    handle?.setBlocking?.(false);
  }

  /** Takes one line of JSON, its `\n` included. */
  readonly write = (line: string): void => {
    if (this.#stream.writableLength >= MAX_WAITING) this.#drop();
    else this.#send(line, () => this.#drop());
  };

  #drop(): void {
    this.dropped++;
    this.lastDropped = Date.now();
  }

  #send(json: string, onFailure: () => void): void {
    const isText = this.format === 'text' || (this.format === 'auto' && this.#stream.isTTY === true);
    const line = isText ? textLine(json, this.#paint) : json;
    const bytes = Buffer.from(this.#failed ? `\n${line}` : line);
    this.#stream.write(bytes, (error) => {
      this.#failed = Boolean(error);
      if (error) onFailure();
      else if (this.#stream.writableLength === 0 && this.#reported < this.dropped) this.#report();
    });
  }

  /** Reports the dropped lines. This line is written whatever the level: it is about the log itself. */
  #report(): void {
    const dropped = this.dropped - this.#reported;
    this.#reported = this.dropped;
    const restore = () => {
      this.#reported -= dropped;
    };
    createLog('warn', (line) => this.#send(line, restore)).warn('log lines were dropped', { dropped });
  }
}

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
