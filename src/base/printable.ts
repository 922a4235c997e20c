// Text from clients and files, made safe to print. Terminals read a control character as part of an escape sequence, some
// log shippers read U+2028 as a line break, and a bidirectional mark displays a path in another order. JSON.stringify
// escapes only those below U+0020.
const UNPRINTABLE = /[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;

/** The text with escapes (`\u202e`) in place of what a terminal or a page would obey. JSON stays the same JSON. */
export function printable(text: string): string {
  return text.replace(UNPRINTABLE, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`);
}
