// config.schema.json and docs/configuration.md, from the schema and from what the page says of each key. No fact about a
// key may be added here: edit src/config/schema.ts or the page.
import { readFileSync } from 'node:fs';
import * as z from 'zod/mini';
import { CONFIG_FILE } from '../../src/base/default-places.ts';
import { configSchema } from '../../src/config/schema.ts';
import { mayBeEmpty, SCHEMAS, unwrap } from '../../src/config/schema-problems.ts';
import { ALLOWED } from '../../src/config/value-kinds.ts';
import { RESTART_ONLY } from '../../src/runtime/ruleset.ts';
import { listItem, wrapped } from './list-item.ts';

const INTRODUCTION = `# Configuration

<!-- npm run generate renews all but what keys mean, which config.schema.json gets from here. -->

The configuration is one YAML file: \`--config FILE\`, else \`$ENTRUPY_PROXY_CONFIG\`, else
\`${CONFIG_FILE}\` if it exists, else only the environment.
[config.example.yaml](../config.example.yaml) shows every key. \`entrupy-signature-proxy check-config\` reports every
problem at once, with its line and column. With [config.schema.json](../config.schema.json) an editor completes and
checks keys: in its first line, such as
\`# yaml-language-server: $schema=/opt/entrupy-signature-proxy/config.schema.json\`, or by the file's name,
\`entrupy-signature-proxy*.yaml\`.

- The format is YAML 1.2: \`yes\`, \`on\` and \`0x1F\` are text. Aliases, tags, duplicate or unknown keys and a second
  document are errors. A section or list in which everything is commented out counts as absent.
- Durations are \`250ms\`, \`5s\`, \`2m\`, \`24h\`, and \`0\` where allowed; sizes \`512\`, \`64KiB\`, \`1MiB\`, \`2GiB\`; dates
  \`2026-11-01T00:00:00Z\`. File paths are relative to the working directory.
- A secret's value is never in the file, and no message repeats text from under \`secrets\`.
- A route's path is literal, but for a last \`/*\`: other routers' patterns, such as \`/hooks/:id\`, \`/hooks/[id]\` or
  \`/hooks/.*\`, are errors. It is plain ASCII, with escapes only for non-ASCII characters, and for spaces inside a
  segment (\`/my%20hook\`). Two that a server could take for each other, such as \`/notify\` and \`/NOTIFY\`, are an
  error. Some upstreams need \`unmatched: verify\`: [the premise](security.md#the-premise).

## Changes

The proxy looks at the file each second, and reads it at once on SIGHUP or \`POST /-/reload\`. If it is
wrong, names a new secret or certificate that cannot be read, or leaves a route without a live secret, the old one stays
in force as a whole until it can be used ([reload-failed](alerts.md#reload-failed)). A change of these keys needs a restart:
${wrapped(RESTART_ONLY.map(([key]) => `\`${key}\`${key === 'listen.tls' ? ' (on or off)' : ''}`).join(', '))}.

## Keys

A key is shown with its default, and in brackets with what it may be, where its name does not tell.
`;

const ENVIRONMENT = `## Environment

The environment is enough without a file. An empty variable counts as unset, except
\`WEBHOOK_ENDPOINT_SECRET_KEY\`.

- Ignored with a warning are a \`LISTEN_PORT\` or \`ADMIN_PORT\` that begins with \`tcp://\` (a Kubernetes service link), a
  \`LOG_FORMAT\` that is no format (another program's), and the \`WEBHOOK_*\` variables if the file has \`secrets\`. An
  \`env:\` entry may still name them.
- A name that is close to one of these, such as \`VERIFY_PATH\` or \`WEBHOOK_SECRET\`, is warned about while the right
  one is unset or empty.
- \`VERIFY_PATHS\` and \`FORWARD_PATHS\` exclude each other, and neither may be set if the file has \`routes\` or
  \`unmatched\`. Without any of these everything is verified. What they forward must still pass the gate:
  [headers with an underscore](docker.md#headers-with-an-underscore).

The variables: [serve](commands.md#serve).
`;

/** Every key in the order of the schema, each section before its own keys. */
export const CONFIG_KEYS = [...SCHEMAS].flatMap(([path, child]) => {
  if (path === '' || path.endsWith(']')) return [];
  const inner = unwrap(child);
  return {
    path,
    allowed: ALLOWED.get(inner)?.allowed ?? '',
    /** The default as a user would write it; null if there is none. */
    fallback: child instanceof z.ZodMiniPrefault ? child._zod.def.defaultValue : null,
    needed: child === inner,
  };
});

/** What a page says of each key, by its path. */
function meaningsIn(page: string): ReadonlyMap<string, string> {
  const items = page.matchAll(/^- `([\w.[\]]+)(?:: .*?)?`(.*(?:\n {2}.+)*)/gm);
  return new Map(Array.from(items, ([, path = '', rest = '']) => [path, meaningOf(rest.replaceAll(/\n +/g, ' '))]));
}

/** The text behind the first colon that is in no brackets. */
function meaningOf(rest: string): string {
  let depth = 0;
  for (const [at, character] of [...rest].entries()) {
    if (character === ':' && depth === 0) return rest.slice(at + 2);
    depth += character === '(' ? 1 : character === ')' ? -1 : 0;
  }
  return '';
}

export function renderConfigurationPage(present: string): string {
  const meanings = meaningsIn(present);
  const keyItem = (key: (typeof CONFIG_KEYS)[number]) => itemOf(key, meanings.get(key.path));
  const bySection = Map.groupBy(CONFIG_KEYS, ({ path }) => path.split(/[.[]/)[0] ?? '');
  const keys = [...bySection].flatMap(([section, rows]) => [`### ${section}`, '', ...rows.flatMap(keyItem), '']);
  return [INTRODUCTION, ...keys, ENVIRONMENT].join('\n');
}

function itemOf({ path, allowed, fallback, needed }: (typeof CONFIG_KEYS)[number], meaning = ''): string[] {
  if (allowed === 'a mapping' && !path.includes('.')) return [];
  if (meaning === '') throw new Error(`it says nothing of ${path}: add - \`${path}\`: and what it means`);
  if (allowed === 'a mapping') return [listItem(`\`${path}\`: ${meaning}`)];
  const hasDefault = fallback !== null && !(Array.isArray(fallback) && mayBeEmpty(path));
  const shown = hasDefault ? `\`${path}: ${plainText(fallback)}\`` : `\`${path}\``;
  const range = allowed.replace(/, such as.*$|a (?:duration|size|whole number) from /g, '');
  const limits = [TOLD.has(range) ? '' : escaped(range), needed ? 'required' : ''].filter(Boolean).join('; ');
  return [listItem(`${shown}${limits && ` (${limits})`}: ${meaning}`)];
}

/** Ranges that a key's name, its default and the page's beginning tell. */
const TOLD = new Set(['true or false', "a file's path", 'a date and time with its zone']);

const escaped = (text: string) => text.replaceAll(/[<*]/g, '\\$&');

function plainText(value: unknown): string {
  return typeof value === 'string' ? value || "''" : JSON.stringify(value);
}

/** For editors: matches every path that may be configured, and few others, which `pathProblem` refuses. */
const PATH_FORM =
  /^(?!.*(?:\/[:$][A-Za-z_]|\/\+(?:\/|$)|\/\[[^/]*\](?:\/|$)|\/\([^/]*\)(?:\/|$)|\.[+*]|\/\/|\$(?:\/|$)|\/\.+(?:\/|$)))(?:\/(?:[!$&'()+,.0-9:=@A-Z[\]_a-z~-]|%(?:20|[89A-Fa-f][0-9A-Fa-f]))*)*(?:\/\*)?$/;

/** The file's own schema: sections may be empty, which YAML reads as null. */
export function renderConfigSchema(): string {
  const meanings = meaningsIn(readFileSync(new URL('../../docs/configuration.md', import.meta.url), 'utf8'));
  for (const [path, child] of SCHEMAS) {
    const description = meanings.get(path)?.replaceAll(/\\(?=[<*])/g, '');
    if (description !== undefined) z.globalRegistry.add(child, { description });
  }
  const schema = z.toJSONSchema(configSchema, {
    io: 'input',
    override: ({ zodSchema, jsonSchema, path }) => {
      // An editor's own message for a union, `Expected integer`, names no unit.
      const allowed = ALLOWED.get(zodSchema)?.allowed;
      const branches = allowed === undefined ? [] : (jsonSchema.anyOf ?? []);
      for (const branch of branches) Object.assign(branch, { errorMessage: `allowed is ${allowed}` });
      // The format alone: zod's pattern for it has 200 characters, which an editor would show as its message.
      if (jsonSchema.format === 'date-time') delete jsonSchema.pattern;
      if (jsonSchema.pattern === '^\\/') jsonSchema.pattern = PATH_FORM.source;
      const where = path.filter((step) => step !== 'properties').join('.');
      if (where === '' || !mayBeEmpty(where) || typeof jsonSchema.type !== 'string') return;
      Object.assign(jsonSchema, { type: [jsonSchema.type, 'null'] });
    },
  });
  const { $schema, ...rest } = schema;
  const [$id, title] = ['urn:entrupy-signature-proxy:config', 'entrupy-signature-proxy configuration'];
  return `${JSON.stringify({ $schema, $id, title, ...rest }, null, 2)}\n`;
}
