// Plain data to what the user wrote, section by section, so that one bad value hides no other mistake.
// It must never let a default stand in for a bad value without saying that the key is not sound.
import type * as z from 'zod/mini';
import { routeSchema, secretSchema } from './entries.ts';
import { MAX_ITEMS } from './leaves.ts';
import { type Finding, formatPath, type KeyPath } from './problems.ts';
import { configSchema, LISTS, MAY_BE_EMPTY } from './schema.ts';
import { issueFindings, unknownKey, wrongValue } from './sentences.ts';
import { isMapping } from './yaml.ts';

/** A mapping that was read, perhaps without some of its keys. */
export interface Part<T> {
  readonly path: KeyPath;
  readonly value: T;
  /** True where the user wrote the key, whatever its value. */
  readonly has: (key: keyof T & string) => boolean;
  /** False where the key's value is bad: what `value` holds for it is a default, not what the user meant. */
  readonly sound: (key: keyof T & string) => boolean;
  /** True where everything in it is sound, and no key unknown. */
  readonly whole: boolean;
}

export type Written = ReturnType<typeof readWritten>;
export type SecretPart = Written['secrets'][number];
export type RoutePart = Written['routes'][number];

/** Reads the data of file and environment; each mistake in a single value becomes a finding. */
export function readWritten(data: Readonly<Record<string, unknown>>, findings: Finding[]) {
  const { shape } = configSchema;
  const read = withoutEmpty(data, []);
  for (const name of Object.keys(read)) if (!Object.hasOwn(shape, name)) findings.push(unknownKey([name]));
  const at = (name: string) => ({ input: read[name], path: [name], findings });
  const before = findings.length;
  const secrets = readList(secretSchema, { ...at('secrets'), allowed: LISTS.secrets });
  const secretsSound = findings.length === before;
  return {
    listen: readPart(shape.listen, at('listen')),
    admin: readPart(shape.admin, at('admin')),
    upstream: readPart(shape.upstream, at('upstream')),
    secrets,
    /** False where `secrets` or an entry of it is bad: then not every id is known. */
    secretsSound,
    routes: readList(routeSchema, { ...at('routes'), allowed: LISTS.routes, needed: { path: '/' } }),
    unmatched: readScalar(shape.unmatched, at('unmatched')),
    limits: readPart(shape.limits, at('limits')),
    shutdown: readPart(shape.shutdown, at('shutdown')),
    once: readPart(shape.once, at('once')),
    log: readPart(shape.log, at('log')),
  } as const;
}

/** Drops the sections under which everything is commented out: `listen:` and nothing below it. */
function withoutEmpty(data: Readonly<Record<string, unknown>>, path: KeyPath): Readonly<Record<string, unknown>> {
  const kept: Record<string, unknown> = Object.create(null);
  for (const [name, value] of Object.entries(data)) {
    const below = [...path, name];
    if (value === null && MAY_BE_EMPTY.has(formatPath(below))) continue;
    kept[name] = isMapping(value) && path.length === 0 ? withoutEmpty(value, below) : value;
  }
  return kept;
}

interface Input {
  readonly input: unknown;
  readonly path: KeyPath;
  readonly findings: Finding[];
  /** Stands in for a needed key whose value is bad, so that the rest can be read. */
  readonly needed?: Readonly<Record<string, unknown>>;
}

function readPart<S extends z.ZodMiniType>(schema: S, { input, path, findings, needed }: Input): Part<z.output<S>> {
  const mapping = isMapping(input) ? input : {};
  const has = (key: string) => Object.hasOwn(mapping, key);
  const result = schema.safeParse(input);
  if (result.success) return { path, value: result.data, has, sound: () => true, whole: true };
  findings.push(...issueFindings(result.error.issues, { input, path }));
  const bad = new Set(
    result.error.issues.flatMap((issue): readonly unknown[] => {
      return issue.path.length === 0 && issue.code === 'unrecognized_keys' ? issue.keys : issue.path.slice(0, 1);
    }),
  );
  const good = Object.entries(mapping).filter(([name]) => !bad.has(name));
  const value = schema.parse({ ...needed, ...Object.fromEntries(good) });
  return { path, value, has, sound: (key) => isMapping(input) && !bad.has(key), whole: false };
}

function readList<S extends z.ZodMiniType>(
  item: S,
  { input, path, allowed, ...rest }: Input & { readonly allowed: string },
): readonly Part<z.output<S>>[] {
  if (input === undefined) return [];
  if (!Array.isArray(input) || input.length > MAX_ITEMS) {
    const bound = Array.isArray(input) ? `, ${MAX_ITEMS} at most` : '';
    rest.findings.push(wrongValue(path, { found: input, allowed: `${allowed}${bound}` }));
    return [];
  }
  return input.map((entry: unknown, index) => readPart(item, { ...rest, input: entry, path: [...path, index] }));
}

function readScalar<S extends z.ZodMiniType>(schema: S, { input, path, findings }: Input): z.output<S> {
  const result = schema.safeParse(input);
  if (result.success) return result.data;
  findings.push(...issueFindings(result.error.issues, { input, path }));
  return schema.parse(undefined);
}
