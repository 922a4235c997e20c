// How text that a client chose is shown: cut short, without a query, and with nothing that could steer a terminal.
// Log and status page show requests through this file alone; it must never let a query or a line break pass.

/** The longest path that log and status page show (spec §11), in UTF-16 units. */
export const SHOWN_PATH = 256;

/** The path as log and status page show it: cut at 256, and at `?` even where the caller forgot to. */
export function shownPath(path: string): string {
  const cut = path.length > SHOWN_PATH ? path.slice(0, SHOWN_PATH) : path;
  const query = cut.indexOf('?');
  return query === -1 ? cut : cut.slice(0, query);
}

/** Cuts a text that has no natural bound (a method, a hint) at `limit` UTF-16 units. */
export function shortened(text: string, limit: number): string {
  return text.length > limit ? `${text.slice(0, limit)}…` : text;
}

// JSON.stringify escapes below U+0020 alone. A C1 control is an escape sequence to a terminal, U+2028 a line break to
// some log shippers, a bidirectional mark shows a path in another order than it is written in.
const UNSAFE = /[\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;

/** A JSON string, quotes included, that is printable on any terminal. */
export function jsonString(text: string): string {
  return escapeUnsafe(JSON.stringify(text));
}

/** Escapes what JSON allows raw and terminals obey; the input is JSON, and so is the output. */
export function escapeUnsafe(json: string): string {
  return json.replace(UNSAFE, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`);
}
