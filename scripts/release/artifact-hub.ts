// Publishes artifacthub-repo.yml beside the chart in the registry, where Artifact Hub (https://artifacthub.io) looks for
// it: as the tag artifacthub.io of the chart's name. Only the publisher knows the repository's id.
//
//   node scripts/release/artifact-hub.ts --id ID --to REGISTRY/PATH/NAME
//
// SKOPEO_OPTIONS: options for `skopeo copy`, such as --dest-tls-verify=false.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

const CONFIG = 'application/vnd.cncf.artifacthub.config.v1+yaml';
const LAYER = 'application/vnd.cncf.artifacthub.repository-metadata.layer.v1.yaml';

/** Writes an OCI layout with one artifact. */
function writeLayout(directory: string, metadata: Buffer): void {
  const blobs = join(directory, 'blobs/sha256');
  mkdirSync(blobs, { recursive: true });
  const put = (content: Buffer, mediaType: string) => {
    const hex = createHash('sha256').update(content).digest('hex');
    writeFileSync(join(blobs, hex), content);
    return { mediaType, digest: `sha256:${hex}`, size: content.length };
  };
  const layer = { ...put(metadata, LAYER), annotations: { 'org.opencontainers.image.title': 'artifacthub-repo.yml' } };
  const config = put(Buffer.from('{}'), CONFIG);
  const mediaType = 'application/vnd.oci.image.manifest.v1+json';
  const manifest = put(
    Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType, config, layers: [layer] })),
    mediaType,
  );
  writeFileSync(join(directory, 'oci-layout'), JSON.stringify({ imageLayoutVersion: '1.0.0' }));
  writeFileSync(join(directory, 'index.json'), JSON.stringify({ schemaVersion: 2, manifests: [manifest] }));
}

const { values } = parseArgs({ options: { id: { type: 'string' }, to: { type: 'string' } } });
const { id, to } = values;
if (id === undefined || to === undefined) {
  process.stderr.write('Usage: node scripts/release/artifact-hub.ts --id ID --to REGISTRY/PATH/NAME\n');
  process.exitCode = 2;
} else {
  const work = mkdtempSync(join(tmpdir(), 'entrupy-artifact-hub-'));
  try {
    writeLayout(work, Buffer.from(`repositoryID: ${JSON.stringify(id)}\n`));
    const options = (process.env.SKOPEO_OPTIONS ?? '').split(' ').filter((option) => option.startsWith('--dest'));
    execFileSync('skopeo', [
      'copy',
      '--quiet',
      '--preserve-digests',
      ...options,
      `oci:${work}`,
      `docker://${to}:artifacthub.io`,
    ]);
    process.stdout.write(`${to}:artifacthub.io\n`);
  } finally {
    rmSync(work, { recursive: true });
  }
}
