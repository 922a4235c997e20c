// Node's own undici is never loaded.
// `import … from 'node:http'` reads every export of that module. One of them is `WebSocket`, which loads the undici
// inside node: 35 ms of start and 15 MiB. No file may import a value from it (src/downstream/reply.ts), and nothing
// else may load it either.
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const SRC = fileURLToPath(new URL('../../../src', import.meta.url));

test('no file of src imports a value from node:http or node:https', () => {
  const files = readdirSync(SRC, { recursive: true, encoding: 'utf8' }).filter((file) => /\.ts$/.test(file));
  const importing = files.filter((file) =>
    /^import (?!type )[^;]*from 'node:https?'/m.test(readFileSync(join(SRC, file), 'utf8')),
  );
  expect(importing).toEqual([]);
});

test('neither the whole program nor a scrape loads it', () => {
  const parts = ['commands/serve.ts', 'runtime/app.ts', 'metrics/exposition.ts'].map((part) => join(SRC, part));
  const program = `for (const part of ${JSON.stringify(parts)}) await import(part);
    console.log(process.moduleLoadList.filter((name) => /deps\\/undici/.test(name)).join());`;
  const printed = execFileSync(process.execPath, ['--input-type=module', '--eval', program], { encoding: 'utf8' });
  expect(printed.trim()).toBe('');
});
