// The table of all values in helm/README.md, from helm/values.yaml: each value's default, and the comment on its line.
import { readFileSync } from 'node:fs';
import { isMap, isScalar, type ParsedNode, parseDocument, stringify } from 'yaml';

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

function renderTable(yaml: string, schema: string): string {
  const document = parseDocument(yaml);
  const place = { path: '', lines: yaml.split('\n'), at: 0 };
  const rows = valuesOf(document.contents, JSON.parse(schema) as Schema, place);
  const lines = rows.map(
    ({ path, value, meaning }) => `| \`${path}\` | \`${cell(shown(value))}\` | ${cell(meaning)} |`,
  );
  return ['| value | default | what it says |', '|---|---|---|', ...lines].join('\n');
}

/** The chart's README with its table renewed. */
export function withValuesTable(page: string): string {
  const read = (path: string) => readFileSync(new URL(`../../helm/${path}`, import.meta.url), 'utf8');
  const [before = '', rest = ''] = page.split(BEGIN);
  const after = rest.split(END)[1];
  if (after === undefined) throw new Error(`it has no ${BEGIN} … ${END}`);
  return `${before}${BEGIN}\n\n${renderTable(read('values.yaml'), read('values.schema.json'))}\n\n${END}${after}`;
}
