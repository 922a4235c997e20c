// Writes every generated file. With --check it writes nothing, reports all files that are not current, and exits with 1
// if there are any.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { renderDashboard } from '../dashboard/dashboard.ts';
import { withRunbook } from '../dashboard/runbook.ts';
import { DOCS } from '../src/base/default-places.ts';
import { withConfigSchema } from './generators/chart-schema.ts';
import { renderConfigSchema, renderConfigurationPage } from './generators/config-schema.ts';
import { withDiagnoses } from './generators/diagnoses-doc.ts';
import { renderMetricsDoc } from './generators/metrics-doc.ts';
import { withValuesTable } from './generators/values-doc.ts';

/** The text of each generated file. Some are generated only in part and get the present text; '' if there is none. */
const GENERATED: Readonly<Record<string, (present: string) => string>> = {
  'config.schema.json': renderConfigSchema,
  'docs/alerts.md': withDiagnoses,
  'docs/configuration.md': renderConfigurationPage,
  'docs/metrics.md': renderMetricsDoc,
  'helm/files/dashboard.json': renderDashboard,
  'helm/files/rules.yaml': (rules) => withRunbook(rules, DOCS),
  'helm/values.schema.json': withConfigSchema,
  'helm/README.md': withValuesTable,
};

/**
 * Passes each file below `root` that is not current to `write`; null only checks. Returns a sentence for each file that
 * is still not current.
 */
export function generate(root: URL, write: ((file: URL, text: string) => void) | null): string[] {
  return Object.entries(GENERATED).flatMap(([name, render]) => {
    const file = new URL(name, root);
    try {
      const present = existsSync(file) ? readFileSync(file, 'utf8') : '';
      const wanted = render(present);
      if (present === wanted) return [];
      if (write === null) return [`${name} is not current: run npm run generate`];
      write(file, wanted);
      return [];
    } catch (error) {
      return [`${name} cannot be generated: ${error instanceof Error ? error.message : error}`];
    }
  });
}

if (import.meta.main) {
  const write = process.argv.includes('--check') ? null : writeFileSync;
  const problems = generate(new URL('..', import.meta.url), write);
  for (const sentence of problems) process.stderr.write(`${sentence}\n`);
  process.exitCode = problems.length > 0 ? 1 : 0;
}
