// Variables whose names are nearly ours: `VERIFY_PATH` verifies nothing, and nobody would be told.
// It must never look at a value, but for whether there is one.
import type { Env, VariableNote } from './environment.ts';
import { nearest } from './suggest.ts';

/** Slips of the pen in one name; with three of them it is more likely a name of somebody else's. */
const MOST_EDITS = 2;
const SECRET_FAMILY = /^webhook_endpoint_secret/i;

/** A warning for each variable that is set, is none of `names`, and is near one of them. */
export function nearNames(env: Env, names: readonly string[], named: ReadonlySet<unknown>): readonly VariableNote[] {
  return Object.keys(env).flatMap((variable): VariableNote[] => {
    if (names.includes(variable) || named.has(variable) || env[variable] === undefined || env[variable] === '')
      return [];
    const near = nearestName(variable, names);
    return near === null ? [] : [{ variable, message: `not read, nothing has this name; did you mean ${near}?` }];
  });
}

function nearestName(variable: string, names: readonly string[]): string | null {
  const alike = names.filter((name) => Math.abs(name.length - variable.length) <= MOST_EDITS);
  const near = nearest(variable, alike, MOST_EDITS);
  if (near !== null || !SECRET_FAMILY.test(variable)) return near;
  // A whole word too few or too many is no slip of the pen, but a secret that is not found is a 503 for everything.
  return names.find((name) => SECRET_FAMILY.test(name)) ?? null;
}
