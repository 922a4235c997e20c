// CHANGELOG.md by version.
import { readFileSync } from 'node:fs';

/** The section of a version without its heading; empty if there is none, or nothing in it. */
export function changesOf(version: string): string {
  const changelog = readFileSync(new URL('../../CHANGELOG.md', import.meta.url), 'utf8');
  const [, ...sections] = changelog.split(/^## /m);
  const section = sections.find((text) => text.startsWith(`${version}\n`) || text.startsWith(`${version} `));
  return section?.slice(section.indexOf('\n')).trim() ?? '';
}
