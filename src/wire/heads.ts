// Heads and trailers as they go on: each end-to-end line in its bytes and its place, spelt `name: value`; the framing is ours
// and stands where the sender's stood (spec §5). So no spelling that one server reads differently passes through.
import { HOP_BY_HOP, mayTrail, nominated } from '../core/headers.ts';
import { isLine } from './lines.ts';

/** Which of the lines about trailers go through: those whose promise is kept on the next hop. */
export interface Relays {
  /** `TE: trailers`: trailers of the response reach whoever asked for them. */
  readonly te: boolean;
  /** `Trailer`: the body goes on in chunks. */
  readonly trailer: boolean;
}

/**
 * The end-to-end lines of a head as text, each with its CRLF, without the empty line. `framing` is the one framing line, such
 * as `Content-Length: 5`: it takes the place of the first such line, or comes last. Null: there is none.
 */
export function headLines(lines: readonly string[], framing: string | null, relays: Relays): string {
  return written(lines, framing, relays, NONE);
}

const NONE: readonly string[] = [];
const CONTENT_LENGTH = 'content-length';

function written(lines: readonly string[], framing: string | null, relays: Relays, dropped: readonly string[]): string {
  let text = '';
  let due = framing;
  for (let index = 0; index < lines.length; index += 2) {
    const name = lines[index] ?? '';
    const value = lines[index + 1] ?? '';
    const fate =
      dropped === NONE && !EXAMINED_LENGTHS.has(name.length) ? 'stays' : fateOf(name, value, relays, dropped);
    if (fate === 'names others') return written(lines, framing, relays, namedByConnection(lines));
    if (fate === 'stays') text += `${name}: ${value}\r\n`;
    else if (fate === 'frames' && due !== null) {
      text += `${due}\r\n`;
      due = null;
    }
  }
  return due === null ? text : `${text}${due}\r\n`;
}

/** No name of another length is worth lower-casing: that saves 0.3 us of a request's two heads. */
const EXAMINED_LENGTHS: ReadonlySet<number> = new Set([...HOP_BY_HOP, CONTENT_LENGTH].map((name) => name.length));

type Fate = 'stays' | 'goes' | 'frames' | 'names others';

function fateOf(name: string, value: string, relays: Relays, dropped: readonly string[]): Fate {
  const lower = name.toLowerCase();
  if (lower === CONTENT_LENGTH || lower === 'transfer-encoding') return 'frames';
  if (lower === 'connection') {
    return dropped === NONE && value !== 'keep-alive' && value !== 'close' ? 'names others' : 'goes';
  }
  if (HOP_BY_HOP.has(lower)) return isRelayed(lower, value, relays) ? 'stays' : 'goes';
  return dropped.includes(lower) ? 'goes' : 'stays';
}

/** Never NONE itself, so that it is asked for once. */
function namedByConnection(lines: readonly string[]): readonly string[] {
  const names: string[] = [];
  for (let index = 0; index < lines.length; index += 2) {
    if (isLine(lines, index, 'connection')) names.push(...nominated(lines[index + 1] ?? ''));
  }
  return names;
}

function isRelayed(lowerCaseName: string, value: string, { te, trailer }: Relays): boolean {
  if (lowerCaseName === 'te') return te && value.toLowerCase() === 'trailers';
  return lowerCaseName === 'trailer' && trailer;
}

/** The trailers that go through, as text with the empty line that ends them. */
export function trailerLines(trailers: readonly string[]): string {
  let text = '';
  for (let index = 0; index < trailers.length; index += 2) {
    const name = trailers[index] ?? '';
    if (mayTrail(name.toLowerCase())) text += `${name}: ${trailers[index + 1] ?? ''}\r\n`;
  }
  return `${text}\r\n`;
}
