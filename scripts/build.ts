// Builds dist/: main.js, which checks Node's version, program.js, and the parts that it loads on demand, so a
// container needs no node_modules. As one file, a healthcheck would read 1.2 MB, and serve would hold the text of all
// the other commands and of the Redis client.
import { chmod, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { Plugin } from 'esbuild';
import { bundle, listPackages, ROOT as root } from './bundle.ts';

/** What `serve` loads is one file each. Code shared with the commands would be in 14 more, which cost 9 ms of start. */
const STARTED = ['src/main.ts', 'src/commands/serve.ts', 'src/runtime/proxy.ts'];

/** It knows the threads that run, so no file may have its own copy. */
const SHARED = join(root, 'src/base/blocked-threads.ts');

/** What those files leave out: what is shared, and what they load on demand. */
const apart = new Set([SHARED]);

const leftApart: Plugin = {
  name: 'left-apart',
  setup({ onResolve }) {
    onResolve({ filter: /\.ts$/ }, ({ path, kind, resolveDir }) => {
      const file = join(resolveDir, path);
      if (kind !== 'dynamic-import' && file !== SHARED) return undefined;
      if (!STARTED.some((started) => file === join(root, started))) apart.add(file);
      return { path: `./${basename(file, '.ts')}.js`, external: true };
    });
  },
};

/** A process that starts from dist/ during a build finds each file complete, old or new. */
async function replaceFile(name: string, contents: Uint8Array): Promise<void> {
  await writeFile(`${root}dist/${name}.new`, contents);
  await rename(`${root}dist/${name}.new`, `${root}dist/${name}`);
}

const started = STARTED.map((entry) => bundle([entry], { plugins: [leftApart], oneFile: true }));
const results = await Promise.all(started);
results.push(await bundle([...apart].sort(), {}));
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
