// HTML as a tagged template: inserted values are escaped, unless they are HTML made by this template. Only a constant
// of the source may ever be marked as safe (`new Html([STYLE], [])`).
import { printable } from '../../base/printable.ts';

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
