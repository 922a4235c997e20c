// The table of all values in helm/README.md: each value's default, the comment on its line in helm/values.yaml, and the
// modes that use it, from the chart's own table.
import { readFileSync } from 'node:fs';
import { isMap, isScalar, type ParsedNode, parse, parseDocument, stringify } from 'yaml';

const [BEGIN, END] = ['<!-- values: generated from values.yaml -->', '<!-- /values -->'];

interface Schema {
  readonly properties?: Readonly<Record<string, Schema>>;
}

interface Value {
  readonly path: string;
  readonly value: unknown;
  readonly meaning: string;
}

/** A value is a key without further keys in the schema; Kubernetes' own maps count as one value. */
function valuesOf(node: ParsedNode | null, schema: Schema | undefined, { path, lines, at }: Place): Value[] {
  const known = schema?.properties;
  if (!isMap(node) || known === undefined || path === 'resources') {
    const meaning = /\s#\s(.*)$/.exec(lines[at] ?? '')?.[1] ?? '';
    if (meaning === '') throw new Error(`helm/values.yaml: ${path} has no comment on its line`);
    return [{ path, value: node?.toJSON() ?? null, meaning }];
  }
  return node.items.flatMap((pair) => {
    const key = pair.key as ParsedNode;
    const name = isScalar(key) ? String(key.value) : '';
    const offset = key.range?.[0] ?? 0;
    const place = { path: path === '' ? name : `${path}.${name}`, lines, at: lineOf(lines, offset) };
    return valuesOf(pair.value as ParsedNode | null, known[name], place);
  });
}

interface Place {
  readonly path: string;
  readonly lines: readonly string[];
  readonly at: number;
}

function lineOf(lines: readonly string[], offset: number): number {
  let [line, left] = [0, offset];
  while (left > (lines[line]?.length ?? Number.POSITIVE_INFINITY)) left -= (lines[line++]?.length ?? 0) + 1;
  return line;
}

const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('<', '&lt;');

function shown(value: unknown): string {
  return stringify(value, { collectionStyle: 'flow', lineWidth: 0, defaultStringType: 'PLAIN' })
    .trim()
    .replace(/\s*\n\s*/g, ' ');
}

interface Row {
  readonly values: Readonly<Record<string, unknown>>;
  readonly modes: readonly string[];
}

const TABLE = /^\{\{- define "entrupy-signature-proxy\.modes" -\}\}\n([\s\S]*?)^\{\{- end/m;
const sectionOf = (path: string) => path.split('.').slice(0, -1).join('.');

/** The modes that use a value: its own, or those of a value beside it in a section that a switch turns on. */
function modesOf(path: string, rows: readonly Row[]): string {
  const own = rows.find(({ values }) => path in values);
  const section = path.startsWith('image.') ? '' : sectionOf(path);
  const beside = rows.find(({ values }) => Object.keys(values).some((name) => sectionOf(name) === section));
  return (own ?? (section === '' ? undefined : beside))?.modes.join(', ') ?? '';
}

function renderTable({ yaml, schema, modes }: { readonly [name in 'yaml' | 'schema' | 'modes']: string }): string {
  const [, table = ''] = TABLE.exec(modes) ?? [];
  const known = parse(table) as readonly Row[];
  const document = parseDocument(yaml);
  const place = { path: '', lines: yaml.split('\n'), at: 0 };
  const rows = valuesOf(document.contents, JSON.parse(schema) as Schema, place);
  const lines = rows.map(
    ({ path, value, meaning }) =>
      `| \`${path}\` | \`${cell(shown(value))}\` | ${cell(meaning)} | ${modesOf(path, known)} |`,
  );
  return ['| value | default | what it says | only for |', '|---|---|---|---|', ...lines].join('\n');
}

/** The chart's README with its table renewed. */
export function withValuesTable(page: string): string {
  const read = (path: string) => readFileSync(new URL(`../../helm/${path}`, import.meta.url), 'utf8');
  const [before = '', rest = ''] = page.split(BEGIN);
  const after = rest.split(END)[1];
  if (after === undefined) throw new Error(`it has no ${BEGIN} … ${END}`);
  return `${before}${BEGIN}\n\n${renderTable({ yaml: read('values.yaml'), schema: read('values.schema.json'), modes: read('templates/_modes.tpl') })}\n\n${END}${after}`;
}
