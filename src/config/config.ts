// The configuration that the program runs on: durations in milliseconds, sizes in bytes, dates as epoch milliseconds,
// null for keys left out that have no default. Deeply frozen. Its types come from the schema, which alone tells the keys.
import type * as z from 'zod/mini';
import { type Route, UNMATCHED } from '../core/routes.ts';
import type { KeyPath } from './problems.ts';
import { type configSchema, routeSchema } from './schema.ts';
import { VariableName } from './variables.ts';

type DeepReadonly<T> = T extends object ? { readonly [K in keyof T]: DeepReadonly<T[K]> } : T;

/** The configuration as the schema reads it, before defaults that depend on other keys are filled in. */
export type Values = DeepReadonly<z.output<typeof configSchema>>;

type SecretEntry = Values['secrets'][number];

/** A source of secrets. A secret's value is never part of the configuration. */
export type SecretSource = Pick<SecretEntry, 'overlap' | 'notBefore' | 'notAfter' | 'allowShort'> & {
  /** Its index under `secrets`; absent for a source that is in no configuration. */
  readonly index?: number;
} & (
    | { readonly kind: 'env'; readonly id: string; readonly env: VariableName }
    | { readonly kind: 'file'; readonly id: string; readonly file: string }
    | { readonly kind: 'directory'; readonly directory: string }
  );

export interface Config extends Omit<Values, 'secrets' | 'routes' | 'unmatched'> {
  readonly secrets: readonly SecretSource[];
  readonly routes: readonly Route[];
  readonly unmatched: Route;
}

/** Every route, `unmatched` last. */
export const routesOf = ({ routes, unmatched }: Config): readonly Route[] => [...routes, unmatched];

/** The parts of a configuration that name TLS files. */
export type TlsParts = Pick<Config, 'listen' | 'upstream'>;

/** The sound secrets and TLS files of a faulty configuration, for `check-config`. The proxy never runs on them. */
export type Salvaged = Pick<Config, 'secrets' | keyof TlsParts>;

/** Fills in the defaults that depend on other keys. `values` must have passed every rule. */
export function resolveConfig(values: Values): Config {
  const { maxBody } = values.limits;
  const unmatched = routeSchema.parse({ path: '/', action: values.unmatched });
  return deepFreeze({
    ...values,
    secrets: values.secrets.map(resolveSecret),
    routes: values.routes.map((route) => resolveRoute(route, maxBody)),
    unmatched: resolveRoute({ ...unmatched, path: UNMATCHED }, maxBody),
  });
}

/** The parts that can still be checked in a configuration with problems. */
export function salvage({ secrets, listen, upstream }: Values, isSound: (path: KeyPath) => boolean): Salvaged {
  return {
    secrets: secrets.flatMap((entry, index) => (isSound(['secrets', index]) ? resolveSecret(entry, index) : [])),
    listen: { ...listen, tls: isSound(['listen', 'tls']) ? listen.tls : null },
    upstream: { ...upstream, tls: isSound(['upstream', 'tls']) ? upstream.tls : null },
  };
}

function resolveSecret({ id, file, env, directory, ...validity }: SecretEntry, index: number): SecretSource {
  const rest = { ...validity, index };
  if (directory !== null) return { kind: 'directory', directory, ...rest };
  if (file !== null && id !== null) return { kind: 'file', id, file, ...rest };
  if (env !== null && id !== null) return { kind: 'env', id, env: new VariableName(env), ...rest };
  throw new Error('a secret without a source has passed the rules');
}

function resolveRoute(route: Values['routes'][number], maxBody: number): Route {
  const named = route.methods ?? (route.action === 'verify' ? ['POST'] : null);
  const methods = named && [...new Set(named.flatMap((name) => (name === 'GET' ? ['GET', 'HEAD'] : name)))];
  const allowHeaders = route.allowHeaders.map((name) => name.toLowerCase());
  return { ...route, methods, maxBody: route.maxBody ?? maxBody, allowHeaders };
}

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null) for (const inner of Object.values(value)) deepFreeze(inner);
  return Object.freeze(value);
}
