// HTML as a tagged template: whatever is put in is escaped, unless it is itself a piece of HTML made here. There must be
// no way to mark a string as safe.

export class Html {
  readonly text: string;

  constructor(parts: readonly string[], values: readonly HtmlValue[]) {
    this.text = parts.map((part, at) => part + (at < values.length ? render(values[at]) : '')).join('');
  }
}

export type HtmlValue = string | number | Html | readonly Html[] | null | undefined;

/** Text and attribute values (always quoted) may be put in; names of elements and attributes may not. */
export function html(parts: TemplateStringsArray, ...values: HtmlValue[]): Html {
  return new Html(parts, values);
}

function render(value: HtmlValue): string {
  if (value === null || value === undefined) return '';
  if (value instanceof Html) return value.text;
  if (typeof value === 'string') return escapeHtml(value);
  if (typeof value === 'number') return String(value);
  return value.map((piece) => piece.text).join('');
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

// Controls and bidirectional marks are shown as what they are: they could reorder a line of the page, or its copy in a
// terminal.
const UNPRINTABLE = /[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;

export function escapeHtml(text: string): string {
  return text
    .replace(UNPRINTABLE, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`)
    .replace(/[&<>"']/g, (char) => ENTITIES[char] ?? '');
}
