// Packs the program as one file that needs no Node, for the platform that runs this:
//
//   node scripts/release/executable.ts --out DIRECTORY
//
// Prints the path of the archive; its SBOM is beside it.
//
// The file is the running Node with the bundle and V8's code cache of it inside, so arm64 is built on arm64. It takes
// NODE_OPTIONS as Node does. SOURCE_DATE_EPOCH: the time of the files in the archive.
import { type ExecFileSyncOptions, execFileSync } from 'node:child_process';
import { copyFileSync, cpSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import manifest from '../../package.json' with { type: 'json' };
import { bundle, listPackages, ROOT } from '../bundle.ts';

const ARCHITECTURES: Readonly<Partial<Record<string, string>>> = { x64: 'amd64', arm64: 'arm64' };
/** The first Node that keeps a code cache for a module. */
const LEAST_NODE = [26, 2] as const;

/** The flags of the image that NODE_OPTIONS does not take. V8 takes a code cache only from a Node with the same flags. */
const FLAGS = ['--no-maglev-destroy-on-background', '--heap-growing-percent=100'];

/** The licence of the running Node: it lies beside it, or in the npm package that brings its binary. */
function nodeLicence(): string {
  const beside = resolve(process.execPath, '../../LICENSE');
  if (existsSync(beside)) return beside;
  const require = createRequire(createRequire(import.meta.url).resolve('node/package.json'));
  return join(dirname(require.resolve(`node-linux-${process.arch}/package.json`)), 'LICENSE');
}

/** Writes the executable, its licences, its SBOM and the example files into the folder. */
async function fill(folder: string, work: string): Promise<void> {
  const result = await bundle(['src/main.ts'], { oneFile: true });
  await listPackages([result]);
  writeFileSync(join(work, 'main.mjs'), result.outputFiles[0]?.contents ?? '');
  const config = {
    main: join(work, 'main.mjs'),
    mainFormat: 'module',
    output: join(folder, manifest.name),
    useCodeCache: true,
    execArgv: FLAGS,
    disableExperimentalSEAWarning: true,
  };
  writeFileSync(join(work, 'sea.json'), JSON.stringify(config));
  const quiet: ExecFileSyncOptions = { stdio: ['ignore', 'ignore', 'inherit'] };
  execFileSync(process.execPath, [...FLAGS, `--build-sea=${join(work, 'sea.json')}`], quiet);
  execFileSync(
    process.execPath,
    [`${ROOT}scripts/bundle-licences.ts`, join(folder, 'THIRD-PARTY-LICENSES.txt')],
    quiet,
  );
  execFileSync(process.execPath, [`${ROOT}scripts/bundle-sbom.ts`, join(folder, 'sbom.cdx.json'), '--node'], quiet);
  copyFileSync(nodeLicence(), join(folder, 'LICENSE-NODE'));
  for (const name of ['LICENSE', 'config.example.yaml', 'config.schema.json'])
    copyFileSync(`${ROOT}${name}`, join(folder, name));
  for (const example of ['examples/systemd', 'examples/events'])
    cpSync(`${ROOT}${example}`, join(folder, example), { recursive: true });
}

const { values } = parseArgs({ options: { out: { type: 'string' } } });
const architecture = ARCHITECTURES[process.arch];
const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
if (values.out === undefined) {
  process.stderr.write('Usage: node scripts/release/executable.ts --out DIRECTORY\n');
  process.exitCode = 2;
} else if (process.platform !== 'linux' || architecture === undefined) {
  process.stderr.write(
    `an executable for ${process.platform} ${process.arch} was never tried: use Linux on amd64 or arm64\n`,
  );
  process.exitCode = 1;
} else if (major < LEAST_NODE[0] || (major === LEAST_NODE[0] && minor < LEAST_NODE[1])) {
  process.stderr.write(
    `this is Node ${process.versions.node}: use ${LEAST_NODE.join('.')} or later, as npm scripts do\n`,
  );
  process.exitCode = 1;
} else {
  const name = `${manifest.name}-${manifest.version}-linux-${architecture}`;
  const work = mkdtempSync(join(tmpdir(), 'entrupy-executable-'));
  try {
    mkdirSync(join(work, name));
    await fill(join(work, name), work);
    mkdirSync(values.out, { recursive: true });
    const archive = join(resolve(values.out), `${name}.tar.gz`);
    const time = process.env.SOURCE_DATE_EPOCH ?? String(Math.floor(Date.now() / 1000));
    const options = ['--sort=name', '--owner=0', '--group=0', '--numeric-owner', `--mtime=@${time}`];
    const gzip = '--use-compress-program=gzip -n';
    execFileSync('tar', ['--create', ...options, gzip, `--file=${archive}`, `--directory=${work}`, name]);
    copyFileSync(join(work, name, 'sbom.cdx.json'), join(resolve(values.out), `${name}.cdx.json`));
    process.stdout.write(`${archive}\n`);
  } finally {
    rmSync(work, { recursive: true });
  }
}
