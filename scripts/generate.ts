// Writes helm/files/dashboard.json from scripts/dashboard, and the runbook's address into helm/files/rules.yaml. With
// --check it writes nothing and exits with 1 if a file differs.
import { readFileSync, writeFileSync } from 'node:fs';
import { DOCS } from '../src/base/version.ts';
import { withRunbook } from './addresses.ts';
import { renderDashboard } from './dashboard/dashboard.ts';

function main(): void {
  write('dashboard.json', () => renderDashboard());
  write('rules.yaml', (rules) => withRunbook(rules, DOCS));
}

function write(name: string, render: (before: string) => string): void {
  const file = new URL(`../helm/files/${name}`, import.meta.url);
  const before = readFileSync(file, 'utf8');
  const wanted = render(before);
  if (before === wanted) return;
  if (!process.argv.includes('--check')) return writeFileSync(file, wanted);
  process.stderr.write(`helm/files/${name} is not what scripts say: run node scripts/generate-dashboard.ts\n`);
  process.exitCode = 1;
}

if (import.meta.main) main();
