// The schema described: every key with its kind and default, for the docs, and what is allowed at a path, for errors.
import * as z from 'zod/mini';
import { formatPath, type KeyPath } from './problems.ts';
import { configSchema } from './schema.ts';
import { ALLOWED } from './values.ts';

type Schema = z.core.$ZodType;

/** The schema of each key and list item by path: `listen.port`, `routes[]`, `routes[].path`; '' for the whole file. */
const SCHEMAS = new Map<string, Schema>();

collect(configSchema, '');

function collect(child: Schema, path: string): void {
  SCHEMAS.set(path, child);
  const schema = unwrap(child);
  if (schema instanceof z.ZodMiniArray) collect(schema._zod.def.element, `${path}[]`);
  if (!(schema instanceof z.ZodMiniObject)) return;
  for (const [name, below] of Object.entries(schema.shape)) collect(below, path === '' ? name : `${path}.${name}`);
}

/** Strips default and optional from a key's schema. */
function unwrap(schema: Schema): Schema {
  if (schema instanceof z.ZodMiniPrefault) return schema._zod.def.innerType;
  const source = schema instanceof z.ZodMiniPipe ? schema._zod.def.in : null;
  return source instanceof z.ZodMiniOptional ? source._zod.def.innerType : schema;
}

/** Every key in the order of the schema, each section before its own keys. */
export const CONFIG_KEYS = [...SCHEMAS].flatMap(([path, child]) => {
  if (path === '' || path.endsWith(']')) return [];
  const inner = unwrap(child);
  return {
    path,
    meaning: z.globalRegistry.get(child)?.description ?? '',
    allowed: ALLOWED.get(inner)?.allowed ?? '',
    /** The default as a user would write it; null if there is none. */
    fallback: child instanceof z.ZodMiniPrefault ? child._zod.def.defaultValue : null,
    needed: child === inner,
  };
});

/** The allowed values at `path`, in words, and the keys if it is a mapping. Null if nothing is allowed. */
export function allowedAt(path: KeyPath) {
  const child = SCHEMAS.get(formatPath(path).replace(/\[[0-9]+\]/g, '[]'));
  if (child === undefined) return null;
  const schema = unwrap(child);
  const keys = schema instanceof z.ZodMiniObject ? Object.keys(schema.shape) : [];
  return { allowed: '', ...ALLOWED.get(schema), keys };
}
