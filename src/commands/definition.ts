// A command as data: its name, what it does, its options, exit codes and JSON. Help, docs/commands.md and the parser
// of the command line all read it.
import { CONFIG_FILE } from '../base/default-places.ts';

interface Option {
  readonly type: 'string' | 'boolean';
  readonly multiple?: boolean;
  /** The name of its value in the help: `FILE`. Only with type string. */
  readonly value?: string;
  readonly does: string;
}

export type Options = Readonly<Record<string, Option>>;

/** A name and its meaning, for each exit code or key. */
type Meanings = readonly (readonly [name: string, meaning: string])[];

export interface Definition<O extends Options = Options> {
  readonly name: string;
  /** The arguments after the name, as the first line of the help shows them. */
  readonly usage: string;
  /** Paragraphs of plain text; an indented line is an example. */
  readonly about: string;
  readonly options: O;
  /** The names of the positional arguments, for messages. The command itself asks for those that it needs. */
  readonly positionals?: readonly string[];
  readonly exits: Meanings;
  /** The keys of the one object that --json prints, and their meanings. */
  readonly json?: Meanings;
}

const PROGRAM = 'entrupy-signature-proxy';

export const CONFIG_OPTION = {
  config: {
    type: 'string',
    value: 'FILE',
    does: `the configuration; default: $ENTRUPY_PROXY_CONFIG, else ${CONFIG_FILE} if it exists, else the environment alone`,
  },
} as const;

export const JSON_OPTION = {
  json: { type: 'boolean', does: 'prints one JSON object in place of the text; docs/commands.md lists its keys' },
} as const;

const HELP: Option = { type: 'boolean', does: 'prints this' };

/** Each option as it is written, and what it does. */
export function optionRows({ options }: Pick<Definition, 'options'>): Meanings {
  return Object.entries<Option>({ ...options, help: HELP }).map(([name, { value, does }]) => [
    `--${name}${value === undefined ? '' : ` ${value}`}`,
    does,
  ]);
}

export function helpOf(definition: Definition): string {
  const { name, usage, about, exits } = definition;
  return `Usage: ${PROGRAM} ${name} ${usage}

${about.trim()}

${meanings(optionRows(definition))}

Exit code:
${meanings(exits)}
`;
}

/** The longest line of a help text. */
const WIDTH = 100;

/** Two columns, indented, the second one wrapped. */
function meanings(rows: Meanings): string {
  const width = WIDTH - 4 - Math.max(...rows.map(([name]) => name.length));
  const line = new RegExp(`.{1,${width}}(?: |$)|\\S+(?: |$)`, 'g');
  const wrapped = rows.flatMap(([name, meaning]) =>
    (meaning.match(line) ?? []).map((part, at) => [at > 0 ? '' : name, part]),
  );
  return table(wrapped)
    .map((row) => `  ${row}`)
    .join('\n');
}

/** Lines whose columns are as wide as their widest cell, two spaces apart. */
export function table(rows: readonly (readonly string[])[]): readonly string[] {
  const widths = (rows[0] ?? []).map((_, column) =>
    rows.reduce((most, row) => Math.max(most, (row[column] ?? '').length), 0),
  );
  const pad = (cell: string, column: number) => cell.padEnd(widths[column] ?? 0);
  return rows.map((row) => row.map(pad).join('  ').trimEnd());
}
