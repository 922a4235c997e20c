// The remedies in docs/alerts.md and docs/troubleshooting.md, between marks. Each diagnosis is in exactly one list.
import { DIAGNOSES } from '../../src/health/diagnoses.ts';

const ALL = Object.entries(DIAGNOSES);
/** Not after `<!-- diagnoses: end`: the mark that ends one list begins none. */
const LIST = /(<!-- diagnoses: (?!end)(\w+) -->\n)[\s\S]*?(<!-- diagnoses: end -->)/g;

/** `page` with its lists. The name in a mark is an alert, or `none` for diagnoses without one. */
export function withDiagnoses(page: string): string {
  return page.replaceAll(LIST, (_, begin: string, name: string, end: string) => {
    const own = ALL.filter(([, { alert }]) => alert === (name === 'none' ? null : name));
    const lines = own.map(([id, diagnosis]) => `- \`${id}\`: ${diagnosis.remedy}${moreOn(diagnosis)}\n`).join('');
    const only =
      own.length === 1 ? lines.slice('- '.length) : `find the diagnosis on the status page or in the log.\n\n${lines}`;
    return `${begin}${name === 'none' ? lines : `**Do:** ${only}`}${end}`;
  });
}

function moreOn({ alert, page }: (typeof DIAGNOSES)[keyof typeof DIAGNOSES]): string {
  return alert !== null || page.startsWith('troubleshooting.md') ? '' : ` [More](${page})`;
}
