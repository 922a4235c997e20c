// Packs the chart for a release: a copy of helm/ with the addresses of its image, sources and docs, which only the
// publisher knows. Prints the path of the archive.
//
//   node scripts/release/chart.ts --image REGISTRY/NAME --digest sha256:… --source URL --ref TAG --out DIRECTORY
//
// The digest is only in the annotations: as a value it would override a tag that a user has set.
import { execFileSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { isMap, parseDocument, stringify } from 'yaml';
import { changesOf } from './changelog.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

interface Release {
  readonly image: string;
  readonly digest: string;
  readonly source: string;
  readonly ref: string;
}

const SCREENSHOTS = [
  ['The dashboard', 'dashboard'],
  ['The status page while a secret rotates', 'status-rotating'],
] as const;

function fillIn(directory: string, { image, digest, source, ref }: Release): void {
  const change = (file: string, edit: (text: string) => string) => {
    const path = join(directory, file);
    const before = readFileSync(path, 'utf8');
    const after = edit(before);
    if (after === before) throw new Error(`helm/${file} has nothing to fill in`);
    writeFileSync(path, after);
  };
  change('values.yaml', (text) => text.replace(/^ {2}repository: \S+/m, `  repository: ${image}`));
  // Relative links do not work on a registry's page.
  change('README.md', (text) =>
    text
      .replaceAll('](../', `](${source}/blob/${ref}/`)
      .replaceAll('./helm', `oci://${image.slice(0, image.lastIndexOf('/'))}/charts/entrupy-signature-proxy`),
  );
  change('Chart.yaml', (text) => {
    const chart = parseDocument(text);
    const version = String(chart.get('appVersion'));
    chart.set('home', source);
    chart.set('sources', [source]);
    chart.set('icon', `${source}/raw/${ref}/helm/icon.svg`);
    const annotations = chart.get('annotations');
    if (!isMap(annotations)) throw new Error('helm/Chart.yaml has no annotations');
    const images = [
      {
        name: 'entrupy-signature-proxy',
        image: `${image}:${version}@${digest}`,
        platforms: ['linux/amd64', 'linux/arm64'],
      },
    ];
    const links = ['kubernetes', 'upgrading', 'security', 'alerts'].map((name) => ({
      name,
      url: `${source}/blob/${ref}/docs/${name}.md`,
    }));
    annotations.set('artifacthub.io/images', stringify(images));
    annotations.set('artifacthub.io/links', stringify(links));
    const screenshots = SCREENSHOTS.map(([title, name]) => ({
      title,
      url: `${source}/raw/${ref}/docs/images/${name}.png`,
    }));
    annotations.set('artifacthub.io/screenshots', stringify(screenshots));
    // Artifact Hub wants text, not booleans.
    annotations.set('artifacthub.io/prerelease', String(version.includes('-')));
    annotations.set('artifacthub.io/containsSecurityUpdates', String(/^### Security$/m.test(changesOf(version))));
    return chart.toString({ lineWidth: 0 });
  });
}

const { values } = parseArgs({
  options: {
    image: { type: 'string' },
    digest: { type: 'string' },
    source: { type: 'string' },
    ref: { type: 'string' },
    out: { type: 'string' },
  },
});
const { image, digest, source, ref, out } = values;
if (image === undefined || digest === undefined || source === undefined || ref === undefined || out === undefined) {
  process.stderr.write(
    'Usage: node scripts/release/chart.ts --image REGISTRY/NAME --digest sha256:… --source URL --ref TAG --out DIRECTORY\n',
  );
  process.exitCode = 2;
} else {
  const work = mkdtempSync(join(tmpdir(), 'entrupy-chart-'));
  try {
    const copy = join(work, 'entrupy-signature-proxy');
    cpSync(`${ROOT}helm`, copy, { recursive: true });
    fillIn(copy, { image, digest, source, ref });
    execFileSync('helm', ['lint', '--strict', copy], { stdio: ['ignore', 'ignore', 'inherit'] });
    const said = execFileSync('helm', ['package', copy, '--destination', out], { encoding: 'utf8' });
    process.stdout.write(`${said.trim().split(': ').at(-1)}\n`);
  } finally {
    rmSync(work, { recursive: true });
  }
}
