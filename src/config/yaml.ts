// Reads YAML into plain data, with the position of each key. Accepts only what a configuration needs: one document of
// mappings, lists and scalars, without aliases and tags. Errors never quote the text, which may hold a secret.
import { isAlias, isScalar, isSeq, LineCounter, type ParsedNode, parseDocument, type YAMLError } from 'yaml';
import type { KeyPath, ProblemAt } from './problems.ts';

const MAX_DEPTH = 16;
/** The maximum number of entries in one list or mapping. Without a limit, locating many problems would take minutes. */
const MAX_WIDTH = 1000;
/** The maximum number of entries in all lists and mappings together. With several times as many, zod fails. */
const MAX_ENTRIES = 50_000;

export type Mapping = Readonly<Record<string, unknown>>;

interface Walk {
  /** Violations of YAML's grammar or of the rules of this file. */
  readonly problems: ProblemAt[];
  /** The offsets of each key and its value, by the path as JSON. An item of a list counts as its own key. */
  readonly places: Map<string, Readonly<Record<'key' | 'value', number>>>;
  /** The number of entries so far, of all lists and mappings. */
  entries: number;
}

/** Reads one YAML 1.2 document; never throws. `data`: null for invalid text; without prototypes, so `__proto__` is a key. */
export function readYaml(text: string) {
  const lines = new LineCounter();
  const { contents, problems } = parse(text, lines);
  const walk: Walk = { problems, places: new Map(), entries: 0 };
  /** The place of the key or its value; if the key was not written, that of the nearest key above it. */
  const locate = ({ path, at }: ProblemAt) => {
    const written = path.findLastIndex((_, depth) => walk.places.has(JSON.stringify(path.slice(0, depth + 1)))) + 1;
    const place = walk.places.get(JSON.stringify(path.slice(0, written)));
    const offset = typeof at === 'number' ? at : place?.[written === path.length ? at : 'value'];
    const { line, col } = lines.linePos(offset ?? 0);
    return { line: Math.max(1, line), column: Math.max(1, col) };
  };
  if (problems.length > 0) return { data: null, problems, locate };
  const data = dataOf(contents, { path: [], key: 0 }, walk) ?? {};
  if (isMapping(data)) return { data, problems, locate };
  const why = typeof data === 'string' && lacksSpace(data) ? NO_SPACE : 'it needs keys such as "upstream:"';
  const message = `the file is not a mapping; ${why}`;
  return { data: {}, problems: [...problems, atOffset(contents?.range[0] ?? 0, message)], locate };
}

function parse(text: string, lineCounter: LineCounter): { contents: ParsedNode | null; problems: ProblemAt[] } {
  try {
    // uniqueKeys is quadratic; duplicate keys are found below. Pretty errors would quote the text.
    const options = { schema: 'core', stringKeys: true, uniqueKeys: false, prettyErrors: false, lineCounter } as const;
    const { contents, errors, warnings } = parseDocument(text, options);
    const directives = warnings.filter(({ code }) => code === 'BAD_DIRECTIVE');
    return { contents, problems: yamlProblems([...directives, ...errors], text) };
  } catch {
    return { contents: null, problems: [atOffset(0, 'the file is not readable YAML')] };
  }
}

export function isMapping(value: unknown): value is Mapping {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The node as plain data. `key` is the offset at which its key begins. */
function dataOf(node: ParsedNode | null, { path, key }: { path: KeyPath; key: number }, walk: Walk): unknown {
  walk.places.set(JSON.stringify(path), { key, value: node?.range[0] ?? key });
  if (node === null) return null;
  const forbidden = (message: string) => {
    walk.problems.push({ path, at: node.range[0], message });
    return null;
  };
  if (path.length > MAX_DEPTH) return forbidden('nested too deeply');
  if (isAlias(node)) return forbidden('aliases (*name) are not supported: write the value out');
  if (node.tag !== undefined) return forbidden('tags (!name) are not supported: remove the tag');
  if (isScalar(node)) {
    // Only plain integers become numbers. `0x1F`, `1e3`, `010` and `1.5` stay text, which no key accepts.
    const isInteger = /^-?(?:0|[1-9][0-9]*)$/.test(node.source) && Number.isSafeInteger(node.value);
    return typeof node.value === 'number' && !isInteger ? node.source : node.value;
  }
  if (node.items.length > MAX_WIDTH) return forbidden(`more than ${MAX_WIDTH} entries`);
  walk.entries += node.items.length;
  if (walk.entries > MAX_ENTRIES) return forbidden(`more than ${MAX_ENTRIES} entries in the whole file`);
  if (isSeq(node)) {
    return node.items.map((item, index) => dataOf(item, { path: [...path, index], key: item.range[0] }, walk));
  }
  const mapping: Record<string, unknown> = Object.create(null);
  for (const pair of node.items) {
    // The parser has refused every key that is not a text.
    const name = isScalar(pair.key) ? String(pair.key.value) : '';
    const below = { path: [...path, name], key: pair.key.range[0] };
    if (Object.hasOwn(mapping, name))
      walk.problems.push({ ...below, at: below.key, message: 'this key appears twice' });
    mapping[name] = dataOf(pair.value, below, walk);
  }
  return mapping;
}

// --- the library's errors in our words, at the place that the user must correct

/** Our sentence for each of the library's error codes: it must suit every error that has the code. */
const SENTENCES: Readonly<Record<string, string>> = {
  BAD_DIRECTIVE: 'a %directive that is not supported: remove the line',
  BAD_DQ_ESCAPE: "an unknown escape in double quotes: single quotes keep a '\\' as it is",
  BAD_INDENT: 'this line is indented otherwise than those that it belongs to; or a "[" or "{" above is not closed',
  BAD_SCALAR_START: 'a value that begins with this character needs quotes',
  BLOCK_AS_IMPLICIT_KEY:
    'a second "key:" on the line: a value that contains ": " needs quotes; or the next line is indented too far',
  BLOCK_IN_FLOW: 'inside [ ] or { } only the [ ] and { } style is allowed',
  MISSING_CHAR:
    'something is missing here: a quote, a comma, a space, or a ":" and a value; or this line is indented wrong',
  MULTILINE_IMPLICIT_KEY: 'a ":" is missing after this key; or the next line is indented too far',
  MULTIPLE_DOCS: 'a second document begins here; only one is allowed',
  NON_STRING_KEY: 'a key must be plain text',
  RESOURCE_EXHAUSTION: 'nested too deeply',
  TAB_AS_INDENT: 'a tab is used for indentation; YAML allows only spaces',
  UNEXPECTED_TOKEN: 'this does not match the lines above: is the indentation wrong, or a ":" missing?',
};

export const NO_SPACE = 'a space is missing after the ":" of this key';

/** True for `mode:report`, which YAML reads as one word. */
export const lacksSpace = (text: string): boolean => /^[A-Za-z]\w*:(?!\/\/)[^\s:]/.test(text);

/** Converts YAML errors to problems; of several at the same place, the first is kept. */
function yamlProblems(errors: readonly YAMLError[], text: string): ProblemAt[] {
  const problems = errors.map((error) => problemOf(error, text)).reverse();
  return [...new Map(problems.map((problem) => [problem.at, problem])).values()];
}

/** The library's messages for a line that is indented like none above; their error codes also mean other errors. */
const FITS_NO_BLOCK = /^Sequence item without|^All mapping items/;

function problemOf({ code, message, pos: [at] }: YAMLError, text: string): ProblemAt {
  const [, indent = '', rest = ''] = /^( *)(.*)/.exec(text.slice(at)) ?? [];
  const problem = (words: string) => atOffset(at + indent.length, words);
  if (['MISSING_CHAR', 'MULTILINE_IMPLICIT_KEY'].includes(code) && lacksSpace(rest)) return problem(NO_SPACE);
  if (FITS_NO_BLOCK.test(message)) return problem('this line is indented like no line above that it could belong to');
  return problem(SENTENCES[code] ?? 'this is not valid YAML');
}

const atOffset = (at: number, message: string): ProblemAt => ({ path: [], at, message });
