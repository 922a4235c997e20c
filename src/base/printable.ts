// Text on terminals: made safe to print, cut, and coloured.

/**
 * A terminal reads a control character as part of an escape sequence, some log shippers read U+2028 as a line break, and
 * a bidirectional mark changes the order in which a path is displayed. JSON.stringify escapes only those below U+0020.
 */
const UNPRINTABLE = /[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;

/** The text with escapes (`\u202e`) for characters that a terminal or a page would obey. JSON keeps its meaning. */
export const printable = (text: string): string => text.replace(UNPRINTABLE, escaped);

/** A UTF-16 unit as JSON escapes it: `\u202e`. */
export const escaped = (unit: string) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`;

/** Cuts a text that has no natural bound (a method, a hint) at `limit` UTF-16 units. */
export function shortened(text: string, limit: number): string {
  return text.length > limit ? `${text.slice(0, limit)}…` : text;
}

type Colour = 'red' | 'yellow' | 'green' | 'dim' | 'bold';

export type Paint = (colour: Colour, text: string) => string;

export const plainText: Paint = (_, text) => text;

/** Returns a function that colours for a terminal alone, and not if it is dumb or NO_COLOR is set (https://no-color.org). */
export function painter(
  stream: { readonly isTTY?: boolean },
  env: Readonly<Record<string, string | undefined>>,
): Paint {
  if (stream.isTTY !== true || env.NO_COLOR || env.TERM === 'dumb') return plainText;
  // Not imported, as elsewhere: an import reads all exports, and those of node:util load ten modules more, 0.5 MiB.
  return (colour, text) => process.getBuiltinModule('node:util').styleText(colour, text, { validateStream: false });
}
