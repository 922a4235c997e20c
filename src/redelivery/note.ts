// The note beside a deferred delivery: its history, in words. It has no MAC, so nobody vouches for it: it serves people,
// the labels of metrics and the pace, and whoever can write to the store could delay and repeat anyway.

export interface Note {
  /** When the delivery came, epoch milliseconds of the proxy that stored it. */
  readonly at: number;
  /** As configured; null if no route takes it now. */
  readonly route: string | null;
  readonly method: string;
  /** Without the query, and cut. */
  readonly path: string;
  /** The id of the secret that verified it when it came. */
  readonly secret: string;
  /** The same secret's value, as a tag that tells nothing about it: an id names another value after a rotation. */
  readonly key: string;
  /** How often it was sent again, the last time included. */
  readonly attempts: number;
  /** When last, epoch milliseconds; 0 if never. */
  readonly tried: number;
  /** Why the app did not take it, or why nothing verifies it: a status, or one word. */
  readonly failure: string;
}

/** Bytes. What is longer is no note. */
export const MAX_NOTE = 4096;
const MAX_TEXT = 1024;

/** At most `MAX_NOTE` bytes, in ASCII, with texts that `readNote` takes. */
export function noteText(note: Note): string {
  const cut = (_: string, value: unknown) => (typeof value === 'string' ? value.slice(0, MAX_TEXT) : value);
  const text = JSON.stringify(note, cut).replace(/[\u007f-\uffff]/g, escaped);
  // What remains is short: a word, and numbers.
  return text.length <= MAX_NOTE ? text : noteText({ ...note, route: null, method: '', path: '', secret: '', key: '' });
}

const escaped = (char: string) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`;

/** Null if the text is none. */
export function readNote(text: string): Note | null {
  if (text.length > MAX_NOTE) return null;
  const { at, route, method, path, secret, key, attempts, tried, failure } = parsedJson(text);
  if (!isTime(at) || !isCount(attempts) || !isTime(tried) || !isWord(failure)) return null;
  if (!isText(method) || !isText(path) || !isText(secret) || !isText(key)) return null;
  if (route !== null && !isText(route)) return null;
  return { at, route, method, path, secret, key, attempts, tried, failure };
}

/** What a store groups events by, of which it makes JSON. Empty words where there are none. */
export function readWords(text: string) {
  const known = parsedJson(text);
  const word = (at: number) => (isText(known[at]) ? known[at] : '');
  return { failure: word(0), secret: word(1), key: word(2), route: word(3) };
}

/** An empty object if the text is no JSON of one. */
export function parsedJson(text: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? { ...value } : {};
  } catch {
    return {};
  }
}

/** Later ones are no dates (ECMA-262, 21.4.1.1). */
const MAX_TIME = 8.64e15;

const isTime = (value: unknown): value is number => isCount(value) && value <= MAX_TIME;
const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && Number(value) >= 0;
const isWord = (value: unknown): value is string => typeof value === 'string' && /^[a-z0-9_]{1,32}$/.test(value);
export const isText = (value: unknown): value is string => typeof value === 'string' && value.length <= MAX_TEXT;
