// HTML as a tagged template: inserted values are escaped, unless they are HTML made by this template. There must be no
// way to mark a string as safe.
import { printable } from '../base/printable.ts';

export class Html {
  readonly text: string;

  constructor(parts: readonly string[], values: readonly HtmlValue[]) {
    this.text = String.raw({ raw: parts }, ...values.map(render));
  }
}

type HtmlValue = string | number | Html | readonly Html[] | null | undefined;

/** Only text and attribute values (always quoted) may be inserted, never names of elements or attributes. */
export function html(parts: TemplateStringsArray, ...values: HtmlValue[]): Html {
  return new Html(parts, values);
}

function render(value: HtmlValue): string {
  if (value instanceof Html) return value.text;
  if (Array.isArray(value)) return value.map(render).join('');
  return printable(String(value ?? '')).replace(/[&<>"']/g, (char) => `&#${char.charCodeAt(0)};`);
}

/** Epoch milliseconds as `3 min ago` or `in 2 days`, with the exact time as its title. */
export function when(at: number, now: number): Html {
  const iso = new Date(at).toISOString();
  const span = spanText(Math.abs(now - at));
  return html`<time datetime="${iso}" title="${iso}">${at <= now ? `${span} ago` : `in ${span}`}</time>`;
}

const UNITS = { days: 86_400_000, h: 3_600_000, min: 60_000 };

/** Milliseconds in the largest unit that gives at least two (`30 h`, not `1 d`). */
export function spanText(ms: number): string {
  const [unit, size] = Object.entries(UNITS).find(([, size]) => ms >= 2 * size) ?? ['s', 1000];
  return `${Math.floor(ms / size)} ${unit}`;
}
