// Text from clients and files, made safe to print. A terminal reads a control character as part of an escape sequence,
// some log shippers read U+2028 as a line break, and a bidirectional mark changes the order in which a path is displayed.
// Of such characters JSON.stringify escapes only those below U+0020.

const UNPRINTABLE = /[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;

/** The text with escapes (`\u202e`) for characters that a terminal or a page would obey. JSON keeps its meaning. */
export function printable(text: string): string {
  return text.replace(UNPRINTABLE, escaped);
}

/** A UTF-16 unit as JSON escapes it: `\u202e`. */
export const escaped = (unit: string) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`;

/** Cuts a text that has no natural bound (a method, a hint) at `limit` UTF-16 units. */
export function shortened(text: string, limit: number): string {
  return text.length > limit ? `${text.slice(0, limit)}…` : text;
}
