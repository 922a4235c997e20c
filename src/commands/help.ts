// The help: sections of docs/commands.md, as text for a terminal. Loaded only when it is printed.
import { COMMANDS_PAGE } from './docs-pages.ts';
import { type CommandName, OPTIONS } from './options.ts';

const [BEGINNING = ''] = COMMANDS_PAGE.split('\n## ');

export function usage(): string {
  const commands = BEGINNING.matchAll(/^- \[`(.+)`\]\(.+\): (.+)$/gm);
  const lines = Array.from(commands, ([, name = '', does]) => `  ${name.padEnd(17)}${does}\n`);
  return `Usage: entrupy-signature-proxy [COMMAND] [OPTIONS]

Verifies Entrupy webhook signatures in front of any upstream.

${lines.join('')}
  --help, --version; each command has its own --help
`;
}

/** The section of a command, then those of its options that others have, too. */
export function helpOf(name: CommandName): string {
  const [, onwards = ''] = COMMANDS_PAGE.split(`\n## ${name}\n\n`);
  const [section = ''] = onwards.split('\n## ');
  const shared = (BEGINNING.match(/^- `--.+(?:\n {2}.+)*/gm) ?? []).filter((item) => {
    const [, option = ''] = /--([\w-]+)/.exec(item) ?? [];
    return option === 'help' || (Object.hasOwn(OPTIONS[name], option) && !section.includes(`\n- \`--${option}`));
  });
  return `Usage: entrupy-signature-proxy ${plain(`${section.trim()}\n\nAs other commands:\n\n${shared.join('\n')}`)}\n`;
}

/** Markdown as a terminal shows it: a link is its address, and examples are indented. */
export function plain(markdown: string): string {
  return markdown
    .replaceAll(/^```sh\n([\s\S]*?)^```$/gm, (_, example: string) => example.trimEnd().replaceAll(/^/gm, '  '))
    .replaceAll(/\[[^\]]*\]\(([^)]+)\)/g, '$1')
    .replaceAll(/`|\*\*|\\(?=<|>)/g, '')
    .replaceAll('&lt;', '<');
}
