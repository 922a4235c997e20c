// Writes helm/files/dashboard.json from scripts/dashboard. With --check it writes nothing and exits 1 where the file
// differs.
import { readFileSync, writeFileSync } from 'node:fs';
import { renderDashboard } from './dashboard/dashboard.ts';

const FILE = new URL('../helm/files/dashboard.json', import.meta.url);

function main(): void {
  const wanted = renderDashboard();
  if (!process.argv.includes('--check')) {
    writeFileSync(FILE, wanted);
  } else if (readFileSync(FILE, 'utf8') !== wanted) {
    process.stderr.write(
      'helm/files/dashboard.json is not what scripts/dashboard says: run node scripts/generate-dashboard.ts\n',
    );
    process.exitCode = 1;
  }
}

if (import.meta.main) main();
