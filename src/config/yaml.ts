// YAML text to plain data, and where each key stands. Of YAML only what a configuration needs: one document of mappings,
// lists and scalars. It must never expand an alias, run a tag, or quote the text in an error: a secret may stand in it.
import { isAlias, isMap, isScalar, isSeq, LineCounter, type Node, type Pair, parseDocument } from 'yaml';
import type { KeyPath } from './problems.ts';

/** Longer files are refused unread: the longest sensible one is a fiftieth of this. */
export const MAX_FILE_BYTES = 1024 * 1024;
const MAX_DEPTH = 16;
/** Of one list or mapping; without a bound, telling where each of many mistakes stands would take minutes. */
const MAX_WIDTH = 1000;

interface Place {
  readonly line: number;
  readonly column: number;
}

export interface Flaw extends Place {
  readonly path: KeyPath;
  readonly message: string;
}

export interface Source {
  /** Null prototypes throughout, so that `__proto__` is a key like any other. */
  readonly data: Readonly<Record<string, unknown>>;
  /** What the YAML grammar forbids: the data cannot be relied on. */
  readonly syntax: readonly Flaw[];
  /** What we forbid: aliases, tags, duplicate keys. */
  readonly flaws: readonly Flaw[];
  /** Of the key or its value; of the nearest key above where it was not written. */
  readonly locate: (path: KeyPath, at: 'key' | 'value') => Place;
}

const SENTENCES: Readonly<Record<string, string>> = {
  BAD_INDENT: 'the indentation does not fit what is above',
  BAD_SCALAR_START: 'a value that begins with this character needs quotes',
  BLOCK_AS_IMPLICIT_KEY: 'a second "key:" on the line; a value that holds ": " needs quotes',
  BLOCK_IN_FLOW: 'inside [ ] or { } only the [ ] and { } style is possible',
  MISSING_CHAR: 'a closing bracket, quote, comma or colon is missing',
  MULTILINE_IMPLICIT_KEY: 'a ":" is missing after this key',
  MULTIPLE_DOCS: 'a second document begins here; the configuration is one',
  NON_STRING_KEY: 'a key must be plain text',
  TAB_AS_INDENT: 'a tab indents here; YAML allows spaces alone',
  UNEXPECTED_TOKEN: 'this does not fit what is above: is the indentation right, or a ":" missing?',
  BAD_DQ_ESCAPE: "an unknown escape in double quotes; single quotes keep a '\\' as it is",
  RESOURCE_EXHAUSTION: 'it is nested too deeply',
  BAD_DIRECTIVE: 'an unknown %directive',
};

/** Reads one YAML 1.2 document. Total: whatever the text, it gives a Source. */
export function readYaml(text: string): Source {
  const lines = new LineCounter();
  const place = (offset: number): Place => {
    const { line, col } = lines.linePos(offset);
    return { line: Math.max(1, line), column: Math.max(1, col) };
  };
  const whole = (message: string): Source => ({
    data: Object.create(null),
    syntax: [{ line: 1, column: 1, path: [], message }],
    flaws: [],
    locate: () => ({ line: 1, column: 1 }),
  });
  if (text.length > MAX_FILE_BYTES) return whole('the file is larger than 1 MiB');
  let document: ReturnType<typeof parseDocument>;
  try {
    // uniqueKeys is quadratic; duplicate keys are found below. Pretty errors would quote the text.
    document = parseDocument(text, {
      version: '1.2',
      schema: 'core',
      strict: true,
      stringKeys: true,
      uniqueKeys: false,
      prettyErrors: false,
      lineCounter: lines,
    });
  } catch {
    return whole('it is not YAML that can be read');
  }
  const syntax = [...document.errors, ...document.warnings.filter(({ code }) => code === 'BAD_DIRECTIVE')].map(
    ({ code, pos }): Flaw => ({ ...place(pos[0]), path: [], message: SENTENCES[code] ?? 'this is not valid YAML' }),
  );
  if (document.directives?.yaml.explicit === true && document.directives.yaml.version !== '1.2') {
    syntax.push({ line: 1, column: 1, path: [], message: 'the configuration is YAML 1.2; remove the %YAML line' });
  }
  const contents = document.contents;
  const flaws: Flaw[] = [];
  const refuse: Walk['refuse'] = (path, node, message) => flaws.push({ ...place(startOf(node) ?? 0), path, message });
  const data = syntax.length > 0 || contents === null ? null : plain(contents, { path: [], refuse });
  if (syntax.length === 0 && data !== null && !isMapping(data)) {
    refuse([], contents, 'the file is not a mapping; it has keys such as "upstream:"');
  }
  const locate: Source['locate'] = (path, at) => place(offsetOf(contents, path, at));
  return { data: isMapping(data) ? data : Object.create(null), syntax, flaws, locate };
}

export function isMapping(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

interface Walk {
  readonly path: KeyPath;
  readonly refuse: (path: KeyPath, node: unknown, message: string) => void;
}

function plain(node: unknown, { path, refuse }: Walk): unknown {
  if (path.length > MAX_DEPTH) return refuse(path, node, 'nested too deeply');
  if (isAlias(node)) return refuse(path, node, 'aliases (*name) are not supported: write the value out');
  if (!isScalar(node) && !isMap(node) && !isSeq(node)) return null;
  if (node.tag !== undefined) return refuse(path, node, 'tags (!name) are not supported: remove it');
  if (isScalar(node)) return scalar(node.value, node.source);
  if (node.items.length > MAX_WIDTH) return refuse(path, node, `more than ${MAX_WIDTH} entries`);
  if (isSeq(node)) return node.items.map((item, index) => plain(item, { path: [...path, index], refuse }));
  const mapping: Record<string, unknown> = Object.create(null);
  for (const pair of node.items) {
    const name = keyName(pair);
    const below = [...path, name];
    if (Object.hasOwn(mapping, name)) refuse(below, pair.key, 'this key stands here twice');
    mapping[name] = plain(pair.value, { path: below, refuse });
  }
  return mapping;
}

/** Numbers count as such only when written plainly: `0x1F`, `1e3`, `010` and `1.5` stay text, which no key takes. */
function scalar(value: unknown, source: string | undefined): unknown {
  if (typeof value !== 'number') return typeof value === 'bigint' ? String(value) : value;
  return source !== undefined && /^-?(?:0|[1-9][0-9]*)$/.test(source) && Number.isSafeInteger(value)
    ? value
    : (source ?? '');
}

function keyName({ key }: Pair): string {
  return isScalar(key) ? (key.source ?? String(key.value)) : '';
}

function offsetOf(root: Node | null, path: KeyPath, at: 'key' | 'value'): number {
  let node: unknown = root;
  let offset = startOf(root) ?? 0;
  for (const [depth, step] of path.entries()) {
    if (isSeq(node) && typeof step === 'number') {
      node = node.items[step];
      offset = startOf(node) ?? offset;
      continue;
    }
    const pair = isMap(node) ? node.items.findLast((item) => keyName(item) === step) : undefined;
    if (pair === undefined) break;
    const last = depth === path.length - 1;
    const start = startOf(pair.key) ?? offset;
    offset = last && at === 'key' ? start : (startOf(pair.value) ?? start);
    node = pair.value;
  }
  return offset;
}

function startOf(node: unknown): number | undefined {
  return isScalar(node) || isMap(node) || isSeq(node) || isAlias(node) ? node.range?.[0] : undefined;
}
