// What becomes of a secret's bytes: the rules of an acceptable value, and the key made from one.
// No text made here may hold a value, a part of one, its length or a hash of it.
import { isUtf8 } from 'node:buffer';
import { createSecretKey, type KeyObject } from 'node:crypto';

/** One secret as it was read: with a key, or with a problem that says why there is none. */
export interface SecretMaterial {
  /** The id; for a directory that cannot be used, `directory <path>`. */
  readonly id: string;
  /** `file <path>`, `env <name>` or `directory <path>`. */
  readonly source: string;
  readonly key: KeyObject | null;
  readonly problem: string | null;
  readonly warnings: readonly string[];
  /** Epoch milliseconds; null means no bound. */
  readonly notBefore: number | null;
  readonly notAfter: number | null;
  /** Milliseconds for which a replaced value stays valid; null means not at all. */
  readonly overlap: number | null;
}

/** The outcome for one value: a key with what is odd about it, or why it is refused. */
export type KeyReading =
  | { readonly key: KeyObject; readonly problem: null; readonly warnings: readonly string[] }
  | { readonly key: null; readonly problem: string; readonly warnings: readonly string[] };

/** The largest secret that is read, in bytes: a file beyond it is surely another file. */
export const MAX_SECRET_BYTES = 64 * 1024;
const SHORTEST_BYTES = 16;
const COMFORTABLE_BYTES = 32;

const LF = 0x0a;
const CR = 0x0d;
const BYTE_ORDER_MARK = Buffer.from('\ufeff');
const NO_BREAK_SPACE = Buffer.from('\u00a0');
const REPLACEMENT_CHARACTER = Buffer.from('\ufffd');

export function refused(problem: string): KeyReading {
  return { key: null, problem, warnings: [] };
}

/** Takes a file's content: one trailing `\n` or `\r\n` belongs to the file, everything else to the secret. */
export function keyFromFileContent(content: Buffer, rules: { readonly allowShort: boolean }): KeyReading {
  return keyFromValue(content.subarray(0, content.length - trailingNewline(content)), rules);
}

/** Takes the value itself, every byte of it. The caller may overwrite the bytes afterwards: the key has its own copy. */
export function keyFromValue(value: Buffer, { allowShort }: { readonly allowShort: boolean }): KeyReading {
  if (value.length === 0) return refused('it is empty');
  if (value.length > MAX_SECRET_BYTES) return refused('it is larger than 64 KiB: is this the right file?');
  if (!isUtf8(value)) return refused('it is not valid UTF-8: a secret is text, used as it is and never decoded');
  if (value.length < SHORTEST_BYTES && !allowShort) {
    return refused('it is shorter than 16 bytes, too easy to guess (allowShort accepts it)');
  }
  return { key: createSecretKey(value), problem: null, warnings: oddities(value) };
}

function trailingNewline(content: Buffer): 0 | 1 | 2 {
  if (content.at(-1) !== LF) return 0;
  return content.at(-2) === CR ? 2 : 1;
}

function oddities(value: Buffer): string[] {
  const found: string[] = [];
  if (value.length < SHORTEST_BYTES) found.push('it is shorter than 16 bytes, too easy to guess');
  else if (value.length < COMFORTABLE_BYTES) found.push('it is shorter than 32 bytes: longer ones are safer');
  if (startsWithSpace(value)) found.push('it begins with white space, which is kept as part of the secret');
  if (endsWithSpace(value)) found.push('it ends with white space or a line break, which is kept as part of the secret');
  if (value.subarray(0, 3).equals(BYTE_ORDER_MARK)) {
    found.push('it begins with a byte order mark, which is kept as part of the secret');
  }
  if (isQuoted(value)) {
    found.push(
      "it is enclosed in quotes, which are kept as part of the secret (docker's --env-file does not remove them)",
    );
  }
  if (value.subarray(0, -1).includes(LF)) found.push('it has more than one line: all of them are one secret');
  if (value.includes(0)) found.push('it holds a NUL byte, which most senders cannot use');
  if (value.includes(REPLACEMENT_CHARACTER)) {
    found.push('it holds U+FFFD, the mark of text that was not UTF-8: the sender hardly has the same');
  }
  return found;
}

function startsWithSpace(value: Buffer): boolean {
  return isSpace(value.at(0)) || value.subarray(0, 2).equals(NO_BREAK_SPACE);
}

function endsWithSpace(value: Buffer): boolean {
  return isSpace(value.at(-1)) || value.subarray(-2).equals(NO_BREAK_SPACE);
}

function isSpace(byte: number | undefined): boolean {
  return byte === 0x20 || (byte !== undefined && byte >= 0x09 && byte <= 0x0d);
}

function isQuoted(value: Buffer): boolean {
  const quote = value.at(0);
  return value.length > 1 && (quote === 0x22 || quote === 0x27) && value.at(-1) === quote;
}
