// How esbuild bundles the program: for dist/ in parts that are loaded on demand, for the executable as one file.
import { mkdir, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type BuildOptions, type BuildResult, build, type Plugin } from 'esbuild';
import { BUNDLED_FILES, packagePath } from './bundled-packages.ts';

export const ROOT = fileURLToPath(new URL('..', import.meta.url));

export type Bundle = BuildResult<{ metafile: true; write: false }>;

interface Form {
  readonly plugins?: readonly Plugin[];
  /** All in one file, also what `import()` names. */
  readonly oneFile?: true;
}

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

const FORM = {
  absWorkingDir: ROOT,
  bundle: true,
  platform: 'node',
  target: 'node24',
  // esbuild does not know that Node 24 has it; its helpers would duplicate all parts that both builds share.
  supported: { using: true },
  minifySyntax: true,
  minifyWhitespace: true,
  legalComments: 'none',
  logLevel: 'warning',
} as const satisfies BuildOptions;

export const THREAD_SOURCE = /\/sqlite-thread-source\.ts$/;

/** The module of that name with the text of the thread. One that is a file starts neither from a bundle nor from the executable. */
export async function threadAsText(path: string): Promise<string> {
  const entryPoints = [path.replace('-source', '')];
  const { outputFiles } = await build({ ...FORM, entryPoints, format: 'cjs', write: false });
  return `export const threadSource = ${JSON.stringify(outputFiles[0]?.text)};`;
}

const threads: Plugin = {
  name: 'thread-as-text',
  setup({ onLoad }) {
    onLoad({ filter: THREAD_SOURCE }, async ({ path }) => ({ contents: await threadAsText(path) }));
  },
};

/** The pages of the docs that commands print, as text. */
const pages: Plugin = {
  name: 'pages-as-text',
  setup({ onLoad }) {
    onLoad({ filter: /\/docs-pages\.ts$/ }, async ({ path }) => {
      const texts = Object.entries<string>(await import(path));
      return { contents: texts.map(([name, text]) => `export const ${name} = ${JSON.stringify(text)};`).join('\n') };
    });
  },
};

export async function bundle(entryPoints: string[], { plugins = [], oneFile }: Form): Promise<Bundle> {
  return await build({
    ...FORM,
    entryPoints,
    outdir: 'dist',
    entryNames: '[name]',
    chunkNames: '[name]-[hash]',
    splitting: !oneFile,
    format: 'esm',
    metafile: true,
    write: false,
    // Its modules for browsers: of the CommonJS ones for Node nothing is left out, and each is parsed twice. The start
    // takes 3 % fewer instructions.
    alias: { yaml: './node_modules/yaml/browser/dist/index.js' },
    plugins: [leftOut, llhttpAsBytes, threads, pages, ...plugins],
    // CommonJS parts of the bundle (prom-client, @redis/client) load node's own modules with require, and no others.
    banner: { js: 'const require=process.getBuiltinModule;' },
  });
}

/**
 * Writes down the packages' files in these bundles, for the licences and the SBOM. A file of which no code is left after
 * tree-shaking is in no output and in no list.
 */
export async function listPackages(bundles: readonly Bundle[]): Promise<void> {
  const outputs = bundles.flatMap(({ metafile }) => Object.values(metafile.outputs));
  const files = new Set(outputs.flatMap(({ inputs }) => Object.keys(inputs)));
  await mkdir(dirname(BUNDLED_FILES), { recursive: true });
  const bundled = [...files].filter((file) => packagePath(file) !== undefined).sort();
  await writeFile(BUNDLED_FILES, `${JSON.stringify(bundled, null, 2)}\n`);
}
