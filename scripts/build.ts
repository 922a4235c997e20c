// Builds dist/: main.js, which checks Node's version, program.js, and the chunks that it loads on demand, so a
// container needs no node_modules. As one file, a healthcheck would read 1.2 MB, and serve would hold the text of all
// the other commands and of the Redis client.
import { chmod, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { basename, dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type BuildResult, build, type Plugin } from 'esbuild';
import { BUNDLED_FILES, packagePath } from './bundled-packages.ts';

const root = fileURLToPath(new URL('..', import.meta.url));

/**
 * Modules of our dependencies, 60 KiB, that never run here, because nothing calls them. Each is an empty module in the
 * build, so code that reached one would find nothing and throw.
 */
const LEFT_OUT: readonly { readonly from: string; readonly files: RegExp; readonly because: string }[] = [
  { from: 'prom-client', files: /\/(?:pushgateway|cluster|summary)$/, because: 'nothing here makes one' },
  { from: 'prom-client', files: /^@opentelemetry\/api$/, because: 'for exemplars, which no metric enables' },
];

const leftOut: Plugin = {
  name: 'left-out',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /.*/ }, ({ path, importer }) => {
      const rule = LEFT_OUT.find(({ from, files }) => importer.includes(`/node_modules/${from}/`) && files.test(path));
      return rule && { path, namespace: 'left-out' };
    });
    onLoad({ filter: /.*/, namespace: 'left-out' }, () => ({ contents: '' }));
  },
};

/**
 * llhttp as bytes. undici ships it as a CommonJS module, whose Buffer esbuild would wrap as a namespace with a getter
 * for each of 60,000 bytes. That cost 37 ms at start and 20 MiB.
 */
const llhttpAsBytes: Plugin = {
  name: 'llhttp-as-bytes',
  setup({ onLoad }) {
    const require = createRequire(import.meta.url);
    onLoad({ filter: /\/undici\/lib\/llhttp\/llhttp-wasm\.js$/ }, ({ path }) => ({
      contents: require(path) as Uint8Array,
      loader: 'binary',
    }));
  },
};

/**
 * `serve` is built separately: code shared with the other commands would be in a dozen more files, at 1 ms of start
 * each.
 */
const serveElsewhere: Plugin = {
  name: 'serve-elsewhere',
  setup({ onResolve }) {
    onResolve({ filter: /^\.\/serve\.ts$/ }, () => ({ path: './serve.js', external: true }));
  },
};

async function parts(
  entry: string,
  plugins: readonly Plugin[],
): Promise<BuildResult<{ metafile: true; write: false }>> {
  return await build({
    absWorkingDir: root,
    entryPoints: [entry],
    outdir: 'dist',
    chunkNames: '[name]-[hash]',
    bundle: true,
    splitting: true,
    platform: 'node',
    target: 'node24',
    // esbuild does not know that Node 24 has it; its helpers would duplicate all parts that both builds share.
    supported: { using: true },
    format: 'esm',
    minifySyntax: true,
    minifyWhitespace: true,
    legalComments: 'none',
    metafile: true,
    write: false,
    logLevel: 'warning',
    plugins: [leftOut, llhttpAsBytes, ...plugins],
    // CommonJS parts of the bundle (prom-client, yaml) load node's own modules with require.
    banner: {
      js: "import{createRequire as __createRequire}from'node:module';const require=__createRequire(import.meta.url);",
    },
  });
}

/** A process that starts from dist/ during a build finds each file complete, old or new. */
async function replaceFile(name: string, contents: Uint8Array): Promise<void> {
  await writeFile(`${root}dist/${name}.new`, contents);
  await rename(`${root}dist/${name}.new`, `${root}dist/${name}`);
}

const results = [await parts('src/main.ts', [serveElsewhere]), await parts('src/commands/serve.ts', [])];
const built = new Map([['main.js', await readFile(`${root}scripts/bin.js`)]]);
for (const { path, contents } of results.flatMap(({ outputFiles }) => outputFiles)) {
  const name = basename(path);
  built.set(name === 'main.js' ? 'program.js' : name, Buffer.from(contents));
}
await mkdir(`${root}dist`, { recursive: true });
for (const [name, contents] of built) await replaceFile(name, contents);
await chmod(`${root}dist/main.js`, 0o755);
const left = (await readdir(`${root}dist`)).filter((name) => !built.has(name));
await Promise.all(left.map((name) => rm(`${root}dist/${name}`, { recursive: true })));

// For the licences and the SBOM. A file of which no code is left after tree-shaking is in no output and in no list.
const outputs = results.flatMap(({ metafile }) => Object.values(metafile.outputs));
const files = new Set(outputs.flatMap(({ inputs }) => Object.keys(inputs)));
await mkdir(dirname(BUNDLED_FILES), { recursive: true });
const bundled = [...files].filter((file) => packagePath(file) !== undefined).sort();
await writeFile(BUNDLED_FILES, `${JSON.stringify(bundled, null, 2)}\n`);

const bytes = [...built.values()].reduce((sum, { length }) => sum + length, 0);
console.log(`dist/main.js and ${built.size - 1} parts, ${Math.round(bytes / 1024)} KiB`);
