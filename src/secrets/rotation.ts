// What becomes of the secrets that are held when their sources are read again (spec §8): values that vanish or turn bad stay
// as they were, a changed value leaves the old one valid for its overlap, a file gone from its directory is retired.
// Pure: readings and time in, secrets out.
import type { SecretSource } from '../config/config.ts';
import type { SecretMaterial } from './material.ts';
import { judgeTogether, type SourceReading, sourceName, unusableSource } from './sources.ts';

export type Readings = readonly (readonly [SecretSource, SourceReading])[];

export interface Rotation {
  /** Every secret, each replaced value right behind the one that replaced it. */
  readonly secrets: readonly SecretMaterial[];
  /** What can't be used, or is used although its source is bad: in words, never a value. */
  readonly failures: readonly string[];
}

type Held = readonly SecretMaterial[];

const PREVIOUS = '.previous';
const STILL = 'the last good value is still used';

/** True for a value that was replaced. No file or variable can have such an id. */
export function isPrevious({ id, key }: SecretMaterial): boolean {
  return key !== null && id.endsWith(PREVIOUS);
}

/** `held` is empty at start. `now` is epoch milliseconds: the overlap of a value that changed begins there. */
export function rotate(held: Held, readings: Readings, now: number): Rotation {
  const fresh = readings.flatMap(([source, reading]) =>
    reading.problem === null
      ? reading.secrets.map((secret) => keepGood(secret, held))
      : keepAll(held, source, reading.problem),
  );
  const secrets = judgeTogether(fresh).flatMap((secret) => {
    const previous = previousOf(secret, held, now);
    return previous === null ? [secret] : [secret, previous];
  });
  return { secrets, failures: secrets.flatMap(failureOf) };
}

/** Why a secret cannot be used, or is used although its source is bad: in words, never a value. */
export function failureOf({ id, source, problem }: SecretMaterial): string[] {
  if (problem === null) return [];
  return [id === source ? `${source}: ${problem}` : `secret ${id} (${source}): ${problem}`];
}

/** A directory that can't be read, or is empty, is a mount that failed, not a decision to retire everything. */
function keepAll(held: Held, source: SecretSource, problem: string): Held {
  const name = sourceName(source);
  const good = held.filter((secret) => secret.source === name && secret.key !== null && !isPrevious(secret));
  if (good.length === 0) return [unusableSource(source, problem)];
  const { notBefore, notAfter, overlap } = source;
  const still = { problem: `the directory: ${problem}; ${STILL}`, warnings: [], notBefore, notAfter, overlap };
  return good.map((secret) => ({ ...secret, ...still }));
}

function keepGood(fresh: SecretMaterial, held: Held): SecretMaterial {
  if (fresh.key !== null) return fresh;
  const old = keyOf(fresh.id, held);
  return old === null ? fresh : { ...fresh, key: old, problem: `${fresh.problem}; ${STILL}` };
}

/** The one old value: of this very change, or of an earlier one. After its end it still tells expired from forged. */
function previousOf(secret: SecretMaterial, held: Held, now: number): SecretMaterial | null {
  if (secret.key === null || secret.overlap === null) return null;
  const id = secret.id + PREVIOUS;
  const old = keyOf(secret.id, held);
  if (old === null || old.equals(secret.key)) return held.find((other) => other.id === id && isPrevious(other)) ?? null;
  return {
    ...secret,
    id,
    source: `replaced value of ${secret.id}`,
    key: old,
    problem: null,
    warnings: [],
    notAfter: Math.min(now + secret.overlap, secret.notAfter ?? Number.POSITIVE_INFINITY),
    overlap: null,
  };
}

function keyOf(id: string, held: Held): SecretMaterial['key'] {
  return held.find((secret) => secret.id === id)?.key ?? null;
}

/** After a leak: every overlap ends at `now` (epoch milliseconds). What they signed is told as expired from then on. */
export function retirePrevious(held: Held, now: number): Held {
  return held.map((secret) =>
    isPrevious(secret) ? { ...secret, notAfter: Math.min(now, secret.notAfter ?? now) } : secret,
  );
}

/** The ids whose value is another than before, or is there for the first time; replaced values are none. */
export function changedIds(before: Held, after: Held): readonly string[] {
  return after.flatMap((secret) => {
    if (secret.key === null || isPrevious(secret)) return [];
    const old = keyOf(secret.id, before);
    return old?.equals(secret.key) === true ? [] : [secret.id];
  });
}
