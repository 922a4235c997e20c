// The blocks of the pages, which tests run as they are written.
import { read } from '../machine/tools.ts';

/** Those in this language, without the indentation of a list. */
export const blocksOf = (page: string, language = 'sh'): string[] =>
  [...read(page).matchAll(new RegExp(`^( *)\`\`\`${language}\\n([\\s\\S]*?)^ *\`\`\`$`, 'gm'))].map(
    ([, indent = '', block = '']) => block.replaceAll(new RegExp(`^${indent}`, 'gm'), ''),
  );

/** The one that matches: its commands run, so it must be no other. */
export function blockThat(page: string, pattern: RegExp, language = 'sh'): string {
  const [block, ...more] = blocksOf(page, language).filter((text) => pattern.test(text));
  if (block === undefined || more.length > 0) throw new Error(`${page} has not one block with ${pattern}`);
  return block;
}
