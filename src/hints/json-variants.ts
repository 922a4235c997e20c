// The ways in which libraries write one and the same JSON: what a body may have looked like before something parsed
// it and wrote it anew. Numbers and key order stay as they are written. For the diagnosis alone, never for a verdict.

export interface JsonSpelling {
  /** Completes "JSON …", for people. */
  readonly name: string;
  readonly text: string;
}

type Node =
  | { readonly kind: 'atom'; readonly text: string }
  | { readonly kind: 'string'; readonly value: string }
  | { readonly kind: 'array'; readonly items: Node[] }
  | { readonly kind: 'object'; readonly members: (readonly [name: string, value: Node])[] };

interface Style {
  readonly name: string;
  readonly comma?: string;
  readonly colon?: string;
  readonly indent?: string;
  readonly sorted?: true;
  readonly end?: string;
  readonly quote: (value: string) => string;
}

/** Nesting beyond this is no delivery: it is left alone, which also bounds recursion and indentation. */
const MAX_DEPTH = 64;

const raw = (value: string): string => JSON.stringify(value);
const ascii = (value: string): string => escapeAll(raw(value), /[\u007f-\uffff]/g);
const slashes = (value: string): string => raw(value).replaceAll('/', '\\/');
const php = (value: string): string => ascii(value).replaceAll('/', '\\/');
const go = (value: string): string => escapeAll(raw(value), /[<>&\u2028\u2029]/g);
const gson = (value: string): string => escapeAll(raw(value), /[<>&='\u2028\u2029]/g);

const STYLES: readonly Style[] = [
  { name: 'compact', quote: raw },
  { name: 'spaced and escaped as by json.dumps', comma: ', ', colon: ': ', quote: ascii },
  { name: 'spaced as by json.dumps', comma: ', ', colon: ': ', quote: raw },
  { name: 'compact with \\u escapes', quote: ascii },
  { name: 'compact with escaped slashes and \\u escapes, as by PHP', quote: php },
  { name: 'compact with escaped slashes', quote: slashes },
  { name: 'compact with <, > and & escaped, as by Go', quote: go },
  { name: "compact with <, >, &, = and ' escaped, as by Gson", quote: gson },
  { name: 'compact with sorted keys', sorted: true, quote: raw },
  { name: 'spaced with sorted keys', comma: ', ', colon: ': ', sorted: true, quote: ascii },
  { name: 'compact with a final line break', end: '\n', quote: raw },
  { name: 'indented by 2', indent: '  ', quote: raw },
  { name: 'indented by 2, with a final line break', indent: '  ', end: '\n', quote: raw },
  { name: 'indented by 2, with \\u escapes', indent: '  ', quote: ascii },
  { name: 'indented by 4', indent: '    ', quote: raw },
  { name: 'indented by 4, with \\u escapes', indent: '    ', quote: ascii },
  { name: 'indented by 4, as by PHP', indent: '    ', quote: php },
];

/**
 * Writes the JSON in `text` in the known styles, one at a time, the likely ones first, until some `limit` UTF-16 units
 * are written in all; nothing where it is not JSON or too deep. Never throws.
 */
export function* jsonSpellings(text: string, limit: number): Generator<JsonSpelling> {
  const root = parseLexemes(text);
  if (root === null) return;
  const seen = new Set([text]);
  let left = limit;
  for (const style of STYLES) {
    const spelt = write(root, style, left);
    left -= spelt?.length ?? left;
    if (spelt === null || seen.has(spelt)) continue;
    seen.add(spelt);
    yield { name: style.name, text: spelt };
  }
  const parsed = left < text.length ? null : reparsed(text);
  if (parsed !== null && !seen.has(parsed)) {
    yield { name: 'as JSON.parse and JSON.stringify make it', text: parsed };
  }
}

function reparsed(text: string): string | null {
  try {
    return JSON.stringify(JSON.parse(text));
  } catch {
    return null;
  }
}

function escapeAll(text: string, characters: RegExp): string {
  return text.replace(characters, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

// A quote always matches, closed or not: a body of unclosed strings must not make this scan to its end again and again.
const LEXEME = /[{}[\],:]|"[^"\\]*(?:\\.[^"\\]*)*"?|[^\s{}[\],:"]+/gs;

/** A tree that keeps numbers as written. Lenient about commas: a wrong guess here only fails to match. */
function parseLexemes(text: string): Node | null {
  const builder = new TreeBuilder();
  for (const [lexeme] of text.matchAll(LEXEME)) {
    if (lexeme !== ',' && lexeme !== ':' && !builder.take(lexeme)) return null;
  }
  return builder.root();
}

class TreeBuilder {
  readonly #roots: Node[] = [];
  readonly #open: (Node & { kind: 'array' | 'object' })[] = [];
  #name: string | null = null;

  /** False where this cannot go on to be JSON. */
  take(lexeme: string): boolean {
    if (lexeme === '}' || lexeme === ']') return this.#name === null && this.#open.pop() !== undefined;
    const node = nodeOf(lexeme);
    if (node === null) return false;
    const parent = this.#open.at(-1);
    if (parent?.kind === 'object' && this.#name === null) {
      if (node.kind !== 'string') return false;
      this.#name = node.value;
      return true;
    }
    if (parent?.kind === 'object') parent.members.push([this.#name ?? '', node]);
    else (parent?.items ?? this.#roots).push(node);
    this.#name = null;
    if (node.kind === 'array' || node.kind === 'object') this.#open.push(node);
    return this.#open.length <= MAX_DEPTH && this.#roots.length === 1;
  }

  root(): Node | null {
    return this.#open.length === 0 ? (this.#roots[0] ?? null) : null;
  }
}

function nodeOf(lexeme: string): Node | null {
  if (lexeme === '{') return { kind: 'object', members: [] };
  if (lexeme === '[') return { kind: 'array', items: [] };
  if (!lexeme.startsWith('"')) return { kind: 'atom', text: lexeme };
  try {
    return { kind: 'string', value: String(JSON.parse(lexeme)) };
  } catch {
    return null;
  }
}

function write(root: Node, style: Style, limit: number): string | null {
  let text = '';
  const lineBreak = (depth: number) => (style.indent === undefined ? '' : `\n${style.indent.repeat(depth)}`);
  const list = <T>(brackets: '[]' | '{}', entries: readonly T[], depth: number, put: (entry: T) => void): void => {
    text += brackets[0];
    entries.forEach((entry, index) => {
      if (text.length > limit) return;
      text += `${index === 0 ? '' : (style.comma ?? ',')}${lineBreak(depth + 1)}`;
      put(entry);
    });
    text += `${entries.length === 0 ? '' : lineBreak(depth)}${brackets[1]}`;
  };
  const put = (node: Node, depth: number): void => {
    if (node.kind === 'atom') text += node.text;
    else if (node.kind === 'string') text += style.quote(node.value);
    else if (node.kind === 'array') list('[]', node.items, depth, (item) => put(item, depth + 1));
    else {
      const members = style.sorted === true ? node.members.toSorted(byName) : node.members;
      list('{}', members, depth, ([name, value]) => {
        text += `${style.quote(name)}${style.colon ?? (style.indent === undefined ? ':' : ': ')}`;
        put(value, depth + 1);
      });
    }
  };
  put(root, 0);
  text += style.end ?? '';
  return text.length > limit ? null : text;
}

function byName([a]: readonly [string, Node], [b]: readonly [string, Node]): number {
  return a < b ? -1 : Number(a > b);
}
