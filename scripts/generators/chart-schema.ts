// Copies config.schema.json into helm/values.schema.json, so Helm refuses a mistake in `config:` before a pod does.
// With --check it only reports whether the copy is current. Everything outside of $defs.config is written by hand.
import { readFile, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

const root = fileURLToPath(new URL('..', import.meta.url));
const target = `${root}helm/values.schema.json`;
/** Keys that no check uses, or that docs/configuration.md already explains. */
const LEFT_OUT = new Set(['$schema', '$id', 'default', 'description']);

function forHelm(value: Json): Json {
  if (Array.isArray(value)) return value.map(forHelm);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value as { readonly [key: string]: Json })
    .filter(([key, child]) => !(LEFT_OUT.has(key) && typeof child !== 'object') && key !== 'default')
    .filter(([key, child]) => key !== 'pattern' || typeof child !== 'string' || isForGo(child));
  return Object.fromEntries(entries.map(([key, child]) => [key, forHelm(child)]));
}

/** Helm's regular expressions are Go's: no lookaround, and no count above 1000. */
function isForGo(pattern: string): boolean {
  return (
    !/\(\?[=!<]/.test(pattern) && [...pattern.matchAll(/\{\d*,?(\d+)\}/g)].every(([, most]) => Number(most) <= 1000)
  );
}

const before = await readFile(target, 'utf8');
const config = JSON.parse(await readFile(`${root}config.schema.json`, 'utf8')) as Json;
const values = JSON.parse(before) as { readonly [key: string]: Json };
const after = `${JSON.stringify({ ...values, $defs: { config: forHelm(config) } }, null, 2)}\n`;
if (!process.argv.includes('--check')) {
  await writeFile(target, after);
} else if (before !== after) {
  console.error('helm/values.schema.json does not hold config.schema.json: run node scripts/generate-chart-schema.ts');
  process.exitCode = 1;
}
