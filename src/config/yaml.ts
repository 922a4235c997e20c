// Reads YAML into plain data, with the position of each key. Accepts only what a configuration needs: one document of
// mappings, lists and scalars, without aliases and tags. Errors never quote the text, which may hold a secret.
import { isAlias, isMap, isNode, isScalar, isSeq, LineCounter, type Node, type Pair, parseDocument } from 'yaml';
import type { KeyPath } from './problems.ts';

const MAX_DEPTH = 16;
/** Entries of one list or mapping. Without a bound, locating each of many mistakes would take minutes. */
const MAX_WIDTH = 1000;
/** Entries of all lists and mappings together. zod cannot collect the mistakes of several times as many. */
const MAX_ENTRIES = 50_000;

interface Place {
  readonly line: number;
  readonly column: number;
}

/** A violation of YAML's grammar or of the rules of this file. */
interface Flaw extends Place {
  readonly path: KeyPath;
  readonly message: string;
}

export type Mapping = Readonly<Record<string, unknown>>;

interface Source {
  /** Null where the text is not valid YAML. No object has a prototype, so `__proto__` is a key like any other. */
  readonly data: Mapping | null;
  readonly flaws: readonly Flaw[];
  /** The place of the key or its value, or of the nearest key above where it was not written. */
  readonly locate: (path: KeyPath, at: 'key' | 'value') => Place;
}

const SENTENCES: Readonly<Record<string, string>> = {
  BAD_INDENT: 'the indentation does not match the lines above',
  BAD_SCALAR_START: 'a value that begins with this character needs quotes',
  BLOCK_AS_IMPLICIT_KEY: 'a second "key:" on the line; a value that contains ": " needs quotes',
  BLOCK_IN_FLOW: 'inside [ ] or { } only the [ ] and { } style is allowed',
  MISSING_CHAR: 'a closing bracket, quote, comma or colon is missing',
  MULTILINE_IMPLICIT_KEY: 'a ":" is missing after this key',
  MULTIPLE_DOCS: 'a second document begins here; only one is allowed',
  NON_STRING_KEY: 'a key must be plain text',
  TAB_AS_INDENT: 'a tab is used for indentation; YAML allows only spaces',
  UNEXPECTED_TOKEN: 'this does not match the lines above: is the indentation wrong, or a ":" missing?',
  BAD_DQ_ESCAPE: "an unknown escape in double quotes; single quotes keep a '\\' as it is",
  RESOURCE_EXHAUSTION: 'the file is nested too deeply',
  BAD_DIRECTIVE: 'an unknown %directive',
};

/** Reads one YAML 1.2 document. Never throws. */
export function readYaml(text: string): Source {
  const lines = new LineCounter();
  const place = (offset: number): Place => {
    const { line, col } = lines.linePos(offset);
    return { line: Math.max(1, line), column: Math.max(1, col) };
  };
  const flaws: Flaw[] = [];
  const refuse: Refuse = (path, offset, message) => {
    flaws.push({ ...place(offset), path, message });
    return null;
  };
  const document = parse(text, lines);
  if (document === null) {
    refuse([], 0, 'the file is not readable YAML');
    return { data: null, flaws, locate: () => place(0) };
  }
  const { contents, errors, warnings, directives } = document;
  const locate: Source['locate'] = (path, at) => place(offsetOf(contents, path, at));
  for (const { code, pos } of [...errors, ...warnings.filter((warning) => warning.code === 'BAD_DIRECTIVE')]) {
    refuse([], pos[0], SENTENCES[code] ?? 'this is not valid YAML');
  }
  if (directives?.yaml.explicit === true && directives.yaml.version !== '1.2') {
    refuse([], 0, 'the configuration is YAML 1.2; remove the %YAML line');
  }
  if (flaws.length > 0) return { data: null, flaws, locate };
  const data = contents === null ? {} : plain(contents, [], { refuse, entries: 0 });
  if (!isMapping(data) && data !== null) {
    refuse([], startOf(contents) ?? 0, 'the file is not a mapping; it needs keys such as "upstream:"');
  }
  return { data: isMapping(data) ? data : {}, flaws, locate };
}

function parse(text: string, lineCounter: LineCounter): ReturnType<typeof parseDocument> | null {
  try {
    // uniqueKeys is quadratic; duplicate keys are found below. Pretty errors would quote the text.
    return parseDocument(text, {
      version: '1.2',
      schema: 'core',
      strict: true,
      stringKeys: true,
      uniqueKeys: false,
      prettyErrors: false,
      lineCounter,
    });
  } catch {
    return null;
  }
}

/** One value of a text that may be invalid elsewhere. Only for `healthcheck`, which decides nothing by it. */
export function looseValue(text: string, path: KeyPath): unknown {
  return parseDocument(text, { logLevel: 'silent' }).getIn(path);
}

export function isMapping(value: unknown): value is Mapping {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Records a flaw; null replaces the value. */
type Refuse = (path: KeyPath, offset: number, message: string) => null;

interface Walk {
  readonly refuse: Refuse;
  entries: number;
}

function plain(node: unknown, path: KeyPath, walk: Walk): unknown {
  if (!isNode(node)) return null;
  const refused = (message: string) => walk.refuse(path, startOf(node) ?? 0, message);
  if (path.length > MAX_DEPTH) return refused('nested too deeply');
  if (isAlias(node)) return refused('aliases (*name) are not supported: write the value out');
  if (node.tag !== undefined) return refused('tags (!name) are not supported: remove the tag');
  if (isScalar(node)) return scalar(node.value, node.source);
  if (!isMap(node) && !isSeq(node)) return null;
  if (node.items.length > MAX_WIDTH) return refused(`more than ${MAX_WIDTH} entries`);
  walk.entries += node.items.length;
  if (walk.entries > MAX_ENTRIES) return refused(`more than ${MAX_ENTRIES} entries in the whole file`);
  if (isSeq(node)) return node.items.map((item, index) => plain(item, [...path, index], walk));
  const mapping: Record<string, unknown> = Object.create(null);
  for (const pair of node.items) {
    const name = keyName(pair);
    const below = [...path, name];
    if (Object.hasOwn(mapping, name)) walk.refuse(below, startOf(pair.key) ?? 0, 'this key appears twice');
    mapping[name] = plain(pair.value, below, walk);
  }
  return mapping;
}

/** Only plain integers become numbers. `0x1F`, `1e3`, `010` and `1.5` stay text, which no key accepts. */
function scalar(value: unknown, source: string | undefined): unknown {
  if (typeof value !== 'number') return value;
  return /^-?(?:0|[1-9][0-9]*)$/.test(source ?? '') && Number.isSafeInteger(value) ? value : (source ?? '');
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
  return isNode(node) ? node.range?.[0] : undefined;
}
