// docs/commands.md, from the definitions that the commands themselves run on.
import { CONFIG_FILE } from '../../src/base/default-places.ts';
import { COMMANDS } from '../../src/commands/all.ts';
import { CONFIG_OPTION, type Definition, JSON_OPTION, optionRows, USAGE_EXIT } from '../../src/commands/command.ts';
import { SECRET_OPTIONS } from '../../src/commands/sign.ts';
import { listItem, wrapped } from './list-item.ts';

const INTRODUCTION = `# Commands

<!-- Generated from src/commands by npm run generate: edit the command's definition, not this page. -->

\`entrupy-signature-proxy [COMMAND] [OPTIONS]\`; without a command it is \`serve\`. In the image the program is the entry
point: \`docker exec proxy entrupy-signature-proxy check\`. Every command has \`--help\`; \`--version\` prints the
version.

- Exit code 2: ${USAGE_EXIT[2]}; one line on standard error says why.
- \`--json\`, where its keys are listed, prints one JSON object in place of the text.
- Without \`--config\` the configuration is the file \`$ENTRUPY_PROXY_CONFIG\`, else
  \`${CONFIG_FILE}\` if it exists, else the environment alone.
- \`--secret-file FILE\` (without one trailing line break) and \`--secret-env NAME\` (a variable) name the secret of
  \`sign\`, \`verify\` and \`probe\`.
- On a terminal the words have colour, unless \`NO_COLOR\` is set.

The commands:
`;

const definitions = await Promise.all(
  Object.values(COMMANDS).map(async ({ does, load }) => ({ does, definition: (await load()).definition })),
);

export function renderCommandsDoc(): string {
  const rows = definitions.map(({ does, definition: { name } }) => `- [\`${name}\`](#${name}): ${does}`);
  return [INTRODUCTION, rows.join('\n'), ...definitions.map(({ definition }) => section(definition))]
    .join('\n')
    .trimEnd()
    .concat('\n');
}

function section(definition: Definition): string {
  const { name, usage, about, exits, json } = definition;
  const parts = [
    `\n## ${name}\n`,
    `\`${name} ${usage}\`\n`,
    `${paragraphs(about)}\n`,
    meanings('Options', Object.entries(optionRows(definition)).filter(isOwn)),
    `${wrapped(
      `Exit codes: ${Object.entries(exits)
        .map(([code, meaning]) => `\`${code}\` (${meaning})`)
        .join(', ')}.`,
    )}\n`,
    meanings('Keys of `--json`', Object.entries(json ?? {})),
  ];
  return parts.filter((part) => part !== '').join('\n');
}

const SHARED = new Set<string>(
  Object.values({ ...CONFIG_OPTION, ...JSON_OPTION, ...SECRET_OPTIONS }).map(({ does }) => does),
);

/** False for what the introduction says of all commands. */
const isOwn = ([name, meaning]: readonly [string, string]) => name !== '--help' && !SHARED.has(meaning);

/** The text of the help as Markdown: an indented line is an example. */
function paragraphs(about: string): string {
  const blocks = about.trim().split('\n\n');
  return blocks
    .map((block) =>
      /^ {2}/.test(block) ? `\`\`\`sh\n${block.replace(/^ {2}/gm, '')}\n\`\`\`` : block.replace(/[<>]/g, '\\$&'),
    )
    .join('\n\n');
}

function meanings(title: string, rows: readonly (readonly [string, string])[]): string {
  if (rows.length === 0) return '';
  const lines = rows.map(([name, meaning]) => listItem(`\`${name}\`: ${meaning.replaceAll('<', '\\<')}`));
  return [`${title}:`, '', ...lines, ''].join('\n');
}
