// Builds dist/main.js: one file, so that a container needs no node_modules and starts in half the time; and dist/redis.js
// beside it.
import { chmod, rm } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { build, type Plugin } from 'esbuild';

const root = fileURLToPath(new URL('..', import.meta.url));
await rm(`${root}dist`, { recursive: true, force: true });

/** Loaded only where a config asks for it: as a part of main.js everybody would pay for it. */
const apart: Plugin = {
  name: 'redis-apart',
  setup: ({ onResolve }) => onResolve({ filter: /^\.\/redis\.ts$/ }, () => ({ path: './redis.js', external: true })),
};
const files = { main: 'src/main.ts', redis: 'src/once/redis.ts' };

for (const [name, entry] of Object.entries(files)) {
  const outfile = `dist/${name}.js`;
  const { metafile } = await build({
    absWorkingDir: root,
    entryPoints: [entry],
    outfile,
    bundle: true,
    platform: 'node',
    target: 'node24',
    format: 'esm',
    minifySyntax: true,
    minifyWhitespace: true,
    legalComments: 'none',
    metafile: true,
    logLevel: 'warning',
    plugins: [apart],
    // CommonJS parts of the bundle (undici, prom-client) ask for node's own modules by require.
    banner: {
      js: "import{createRequire as __createRequire}from'node:module';const require=__createRequire(import.meta.url);",
    },
  });
  console.log(`${outfile} ${Math.round((metafile.outputs[outfile]?.bytes ?? 0) / 1024)} KiB`);
}
await chmod(`${root}dist/main.js`, 0o755);
