// The sections of docs/alerts.md on diagnoses, between two marks: their order and remedies. What each means is written
// there.
import { DIAGNOSES, type Diagnosis } from '../../src/health/diagnoses.ts';

const IDS = Object.keys(DIAGNOSES) as readonly Diagnosis[];
const SECTIONS_IN_PAGE = /(<!-- diagnoses -->\n)[\s\S]*?(<!-- diagnoses: end -->)/;

export function withDiagnoses(page: string): string {
  return page.replace(SECTIONS_IN_PAGE, (_, begin: string, end: string) => {
    return `${begin}${IDS.map((id) => section(id, page)).join('\n')}${end}`;
  });
}

function section(id: Diagnosis, page: string): string {
  const [, meaning] = new RegExp(`^### ${id}\\n\\n\\*\\*Do:.*\\n\\n(\\S.*)$`, 'm').exec(page) ?? [];
  if (meaning === undefined) throw new Error(`it says nothing of ${id}: add ### ${id}, **Do:** …, and what it means`);
  return `### ${id}\n\n**Do:** ${linked(DIAGNOSES[id].remedy)}\n\n${meaning}\n`;
}

/** Each page that a text names becomes a link; angle brackets stay text. */
function linked(text: string): string {
  const pages = /\(((?:[a-z-]+\.md)?(?:#[\w-]+)?)\)|\b([a-z-]+\.md)\b/g;
  return text.replaceAll('<', '&lt;').replaceAll(pages, (all, inBrackets?: string, bare?: string) => {
    const page = inBrackets ?? bare ?? '';
    if (page === '') return all;
    const link = `[${page.startsWith('#') ? 'more' : page.split('#')[0]}](${page})`;
    return inBrackets === undefined ? link : `(${link})`;
  });
}
