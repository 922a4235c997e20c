// The note of a deferred delivery: its history. The first one is part of the record, under its MAC (record.ts). The one
// beside the record changes with each sending and has no MAC, so it serves display, labels, timing and the judge alone:
// whoever can forge it can write to the store, and so could delay and repeat deliveries anyway.
import { escaped } from '../base/printable.ts';

export interface Note {
  /** When the delivery came, in epoch milliseconds by the clock of the proxy that stored it. */
  readonly came: number;
  /** The path of its route, as configured, also of one that is gone; null if it is not known. */
  readonly route: string | null;
  readonly method: string;
  /** The request's path without the query, shortened. */
  readonly path: string;
  /** The id of the secret that verified it when it came. */
  readonly secret: string;
  /** A tag of that secret's value, as the id names another value after a rotation. The tag reveals nothing about it. */
  readonly key: string;
  /** How often the delivery has been sent again. */
  readonly attempts: number;
  /** How many of these failed although, since the attempt before, the app had taken a delivery that came no earlier. */
  readonly passed: number;
  /** When it was last sent again, in epoch milliseconds; 0 if never. */
  readonly tried: number;
  /** Why it was not taken, or why the rules of now do not send it: a status, or one word. */
  readonly failure: string;
}

const NO_WORDS = { route: null, method: '', path: '', secret: '', key: '', failure: '' };
/** The history of a delivery of which nothing is known yet. */
export const NO_NOTE = { ...NO_WORDS, attempts: 0, passed: 0, tried: 0 };

/** The maximum size of a note, in bytes. Longer text is not read as a note. */
export const MAX_NOTE = 4096;
const MAX_TEXT = 1024;

/** The note as ASCII text of at most `MAX_NOTE` bytes; its texts are cut to what `readNote` accepts. */
export function noteText(note: Note): string {
  const cut = (_: string, value: unknown) => (typeof value === 'string' ? value.slice(0, MAX_TEXT) : value);
  const text = JSON.stringify(note, cut).replace(/[\u007f-\uffff]/g, escaped);
  // Only `failure`, a single word, and numbers remain, which always fit.
  if (text.length <= MAX_NOTE) return text;
  return noteText({ ...note, ...NO_WORDS, failure: note.failure });
}

/** The note in a text; null if it is not a valid one. */
export function readNote(text: string): Note | null {
  if (text.length > MAX_NOTE) return null;
  const { came, route, method, path, secret, key, attempts, passed, tried, failure } = parsedJson(text);
  if (!isTime(came) || !isCount(attempts) || !isCount(passed) || !isTime(tried) || !isWord(failure)) return null;
  if (!isText(method) || !isText(path) || !isText(secret) || !isText(key)) return null;
  if (route !== null && !isText(route)) return null;
  return { came, route, method, path, secret, key, attempts, passed, tried, failure };
}

/** Reads the four texts by which a store groups events, from a JSON array. Those that are missing become empty. */
export function readWords(text: string) {
  const words = parsedJson(text);
  const word = (at: number) => (isText(words[at]) ? words[at] : '');
  return { failure: word(0), secret: word(1), key: word(2), route: word(3) };
}

/** Parses a JSON object or array; an empty object for any other text. */
export function parsedJson(text: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? { ...value } : {};
  } catch {
    return {};
  }
}

/** The latest time that a Date can hold, in epoch milliseconds (ECMA-262, 21.4.1.1). */
const MAX_TIME = 8.64e15;

const isTime = (value: unknown): value is number => isCount(value) && value <= MAX_TIME;
const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && Number(value) >= 0;
const isWord = (value: unknown): value is string => typeof value === 'string' && /^[a-z0-9_]{1,32}$/.test(value);
export const isText = (value: unknown): value is string => typeof value === 'string' && value.length <= MAX_TEXT;
