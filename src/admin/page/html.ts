// HTML as a tagged template: inserted values are escaped, unless they are HTML made by this template. Only a constant
// of the source may ever be marked as safe (`new Html([STYLE], [])`). And two pieces that it makes: a time, a pill.
import { printable } from '../../base/printable.ts';
import type { State } from '../../health/diagnoses.ts';
import { clock, spanText } from '../../health/times.ts';

export class Html {
  readonly text: string;

  constructor(parts: readonly string[], values: readonly HtmlValue[]) {
    this.text = String.raw({ raw: parts }, ...values.map(render));
  }
}

type HtmlValue = string | number | Html | readonly Html[] | null | undefined;

/** The template. Inserted may be text and attribute values (always quoted), never names of elements or attributes. */
export function html(parts: TemplateStringsArray, ...values: HtmlValue[]): Html {
  return new Html(parts, values);
}

function render(value: HtmlValue): string {
  if (value instanceof Html) return value.text;
  if (Array.isArray(value)) return value.map(render).join('');
  return printable(String(value ?? '')).replace(/[&<>"']/g, (char) => `&#${char.charCodeAt(0)};`);
}

/** Epoch milliseconds as `3 min ago (11:57 UTC)` or `in 2 days (2026-11-26 12:00 UTC)`; the title is the exact time. */
export function when(at: number, now: number): Html {
  const iso = new Date(at).toISOString();
  // The time of an event that came while the snapshot was made may be a moment after `now`.
  const isAhead = at - now >= 1000;
  const span = spanText(isAhead ? at - now : Math.max(0, now - at));
  return html`<time datetime="${iso}" title="${iso}">${isAhead ? `in ${span}` : `${span} ago`}</time> <span class="soft">(${clock(at, now)})</span>`;
}

export function pill(state: State, text: string): Html {
  const mark = { ok: '●', note: '', warning: '▲', failed: '✕' }[state];
  return html`<span class="pill ${state}"><span aria-hidden="true">${mark}</span> ${text}</span>`;
}
