// What the schema says of itself: the known keys at a place, for errors; every key with its kind and default, for docs.
// It must never say anything that the schema does not.
import * as z from 'zod/mini';
import { ALLOWED } from './leaves.ts';
import type { KeyPath } from './problems.ts';
import { configSchema } from './schema.ts';

type Schema = z.core.$ZodType;

/** Strips default and optional from a schema. */
function unwrap(schema: Schema): Schema {
  let inner = schema;
  while (inner instanceof z.ZodMiniPrefault || inner instanceof z.ZodMiniOptional) inner = inner._zod.def.innerType;
  return inner;
}

/** The shape of a mapping, also where it stands in a list; null for anything else. */
function shapeOf(schema: Schema): Readonly<Record<string, Schema>> | null {
  const inner = unwrap(schema);
  if (inner instanceof z.ZodMiniObject) return inner.shape;
  return inner instanceof z.ZodMiniArray ? shapeOf(inner._zod.def.element) : null;
}

/** The keys that may stand in the mapping at `path`; none where there is no mapping. */
export function keysAt(path: KeyPath): readonly string[] {
  let schema: Schema | undefined = configSchema;
  for (const step of path) {
    if (typeof step === 'number') continue;
    const shape: Readonly<Record<string, Schema>> = (schema === undefined ? null : shapeOf(schema)) ?? {};
    schema = Object.hasOwn(shape, step) ? shape[step] : undefined;
  }
  return Object.keys((schema === undefined ? null : shapeOf(schema)) ?? {});
}

export interface KeyDescription {
  /** `listen.port`; `routes[].path` in lists. */
  readonly path: string;
  readonly meaning: string;
  readonly allowed: string;
  /** As it would be written; null where there is none. */
  readonly fallback: unknown;
  readonly needed: boolean;
}

/** Every key, in the order of the schema, sections before what they hold. */
export function describeKeys(): readonly KeyDescription[] {
  return describeShape(configSchema, '');
}

function describeShape(schema: Schema, prefix: string): readonly KeyDescription[] {
  return Object.entries(shapeOf(schema) ?? {}).flatMap(([name, child]) => {
    const inner = unwrap(child);
    const path = `${prefix}${name}`;
    const below = inner instanceof z.ZodMiniArray ? `${path}[].` : `${path}.`;
    const own: KeyDescription = {
      path,
      meaning: z.globalRegistry.get(child)?.description ?? '',
      allowed: ALLOWED.get(inner)?.allowed ?? '',
      fallback: child instanceof z.ZodMiniPrefault ? child._zod.def.defaultValue : null,
      needed: child === inner,
    };
    return [own, ...describeShape(child, below)];
  });
}
