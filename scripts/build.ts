// Builds dist/: main.js, which checks Node's version, program.js, and the chunks that it loads on demand, so a
// container needs no node_modules. As one file, a healthcheck would read 1.2 MB, and serve would hold the text of all
// the other commands and of the Redis client.
import { chmod, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { basename } from 'node:path';
import type { Plugin } from 'esbuild';
import { bundle, listPackages, ROOT as root } from './bundle.ts';

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

/** A process that starts from dist/ during a build finds each file complete, old or new. */
async function replaceFile(name: string, contents: Uint8Array): Promise<void> {
  await writeFile(`${root}dist/${name}.new`, contents);
  await rename(`${root}dist/${name}.new`, `${root}dist/${name}`);
}

const results = [await bundle('src/main.ts', { plugins: [serveElsewhere] }), await bundle('src/commands/serve.ts', {})];
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

await listPackages(results);

const bytes = [...built.values()].reduce((sum, { length }) => sum + length, 0);
console.log(`dist/main.js and ${built.size - 1} parts, ${Math.round(bytes / 1024)} KiB`);
