// Builds dist/: main.js and the parts that it loads when it needs them, so that a container needs no node_modules. In one
// file a healthcheck would read 1.2 MB, and serve would hold the text of all the other commands and of the Redis client.
import { chmod, rm } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { build, type Plugin } from 'esbuild';

const root = fileURLToPath(new URL('..', import.meta.url));
await rm(`${root}dist`, { recursive: true, force: true });

/** undici's second parser is experimental, and 150 KiB; no environment may choose what reads responses. */
const withoutMilo: Plugin = {
  name: 'without-milo',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /\/milo\/(?:no-)?simd\.js$/ }, ({ path }) => ({ path, namespace: 'left-out' }));
    onLoad({ filter: /.*/, namespace: 'left-out' }, () => ({ contents: '' }));
  },
};

const { metafile } = await build({
  absWorkingDir: root,
  entryPoints: ['src/main.ts'],
  outdir: 'dist',
  chunkNames: '[name]-[hash]',
  bundle: true,
  splitting: true,
  platform: 'node',
  target: 'node24',
  format: 'esm',
  minifySyntax: true,
  minifyWhitespace: true,
  legalComments: 'none',
  metafile: true,
  logLevel: 'warning',
  plugins: [withoutMilo],
  define: { 'process.env.UNDICI_USE_MILO': '"0"' },
  // CommonJS parts of the bundle (undici, prom-client) ask for node's own modules by require.
  banner: {
    js: "import{createRequire as __createRequire}from'node:module';const require=__createRequire(import.meta.url);",
  },
});
await chmod(`${root}dist/main.js`, 0o755);
const bytes = Object.values(metafile.outputs).map((output) => output.bytes);
console.log(`dist/main.js and ${bytes.length - 1} parts, ${Math.round(bytes.reduce((a, b) => a + b, 0) / 1024)} KiB`);
