// The copy of config.schema.json in helm/values.schema.json, so Helm refuses a mistake in `config:` before a pod does.
import { renderConfigSchema } from './config-schema.ts';

type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/** Keys that no check uses, or that docs/configuration.md already explains. */
const LEFT_OUT = new Set(['$schema', '$id', 'default', 'description', 'errorMessage']);

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

/** The chart's schema with `$defs.config` renewed. Everything else in it is written by hand. */
export function withConfigSchema(chartSchema: string): string {
  const values = JSON.parse(chartSchema) as { readonly [key: string]: Json };
  const config = forHelm(JSON.parse(renderConfigSchema()) as Json);
  return `${JSON.stringify({ ...values, $defs: { config } }, null, 2)}\n`;
}
