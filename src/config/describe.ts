// The schema described: every key with its kind and default, for the docs, and the known keys of a mapping, for errors.
import * as z from 'zod/mini';
import type { KeyPath } from './problems.ts';
import { configSchema } from './schema.ts';
import { ALLOWED } from './values.ts';

type Schema = z.core.$ZodType;

interface KeyDescription {
  /** `listen.port`; `routes[].path` in lists. */
  readonly path: string;
  readonly meaning: string;
  readonly allowed: string;
  /** The default as a user would write it; null where there is none. */
  readonly fallback: unknown;
  readonly needed: boolean;
}

/** Every key in the order of the schema, each section before its own keys. */
export const CONFIG_KEYS: readonly KeyDescription[] = describeShape(configSchema, '');

function describeShape(schema: Schema, prefix: string): readonly KeyDescription[] {
  if (schema instanceof z.ZodMiniArray) return describeShape(schema._zod.def.element, `${prefix}[]`);
  if (!(schema instanceof z.ZodMiniObject)) return [];
  return Object.entries(schema.shape).flatMap(([name, child]) => {
    const inner = unwrap(child);
    const path = `${prefix}${prefix === '' ? '' : '.'}${name}`;
    const own: KeyDescription = {
      path,
      meaning: z.globalRegistry.get(child)?.description ?? '',
      allowed: ALLOWED.get(inner)?.allowed ?? '',
      fallback: child instanceof z.ZodMiniPrefault ? child._zod.def.defaultValue : null,
      needed: child === inner,
    };
    return [own, ...describeShape(inner, path)];
  });
}

/** Strips default and optional from a key's schema. */
function unwrap(schema: Schema): Schema {
  if (schema instanceof z.ZodMiniPrefault) return schema._zod.def.innerType;
  const source = schema instanceof z.ZodMiniPipe ? schema._zod.def.in : null;
  return source instanceof z.ZodMiniOptional ? source._zod.def.innerType : schema;
}

/** The schema of the value at `path`; null where there is none. */
function schemaAt(path: KeyPath): Schema | null {
  return path.reduce<Schema | null>((schema, step) => {
    if (schema instanceof z.ZodMiniArray) return unwrap(schema._zod.def.element);
    const child = schema instanceof z.ZodMiniObject && Object.hasOwn(schema.shape, step) ? schema.shape[step] : null;
    return child == null ? null : unwrap(child);
  }, configSchema);
}

/** What may stand at `path`, in words; null where nothing may. */
export function allowedAt(path: KeyPath) {
  const schema = schemaAt(path);
  return schema === null ? null : (ALLOWED.get(schema) ?? null);
}

/** The keys that the mapping at `path` may have; none where the schema has no mapping. */
export function keysAt(path: KeyPath): readonly string[] {
  const schema = schemaAt(path);
  return schema instanceof z.ZodMiniObject ? Object.keys(schema.shape) : [];
}
