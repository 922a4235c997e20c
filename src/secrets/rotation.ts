// Secrets over time, as their sources are read again (spec §8): values that vanish or turn bad stay as they were, a changed
// value leaves the old one valid for its overlap, a file gone from its directory is retired.
// Pure, except for readSecrets: readings and time in, secrets out.
import type { SecretSource } from '../config/config.ts';
import type { Env } from '../config/environment.ts';
import type { SecretMaterial } from './material.ts';
import { type Readings, readSources, sourceName, unusableSource } from './sources.ts';

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

/** Reads every source once, as at start. Never throws: the problem of a secret that cannot be used says why. */
export async function readSecrets(sources: readonly SecretSource[], env: Env): Promise<Held> {
  return rotate([], await readSources(sources, env), 0).secrets;
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

function failureOf({ id, source, problem }: SecretMaterial): string[] {
  if (problem === null) return [];
  return [id === source ? `${source}: ${problem}` : `secret ${id} (${source}): ${problem}`];
}

/**
 * Compares the secrets of all sources: a reserved id, or one that an earlier secret has, costs a secret its key; a value
 * that an earlier one has is a warning.
 */
function judgeTogether(secrets: readonly SecretMaterial[]): readonly SecretMaterial[] {
  const ids = new Map<string, string>();
  const judged: SecretMaterial[] = [];
  for (const secret of secrets) {
    const refuse = (problem: string) => judged.push({ ...secret, key: null, problem, warnings: [] });
    const namesake = ids.get(secret.id);
    const twin = judged.find(({ key }) => key !== null && secret.key !== null && key.equals(secret.key));
    if (secret.id.endsWith(PREVIOUS)) {
      refuse('ids that end in .previous are reserved for values that were replaced');
    } else if (namesake !== undefined && secret.key !== null) {
      refuse(`its id is already taken by the secret from ${namesake}`);
    } else if (twin !== undefined) {
      const warning = `it has the same value as ${twin.id}, which gets the matches`;
      judged.push({ ...secret, warnings: [...secret.warnings, warning] });
    } else {
      judged.push(secret);
    }
    if (namesake === undefined) ids.set(secret.id, secret.source);
  }
  return judged;
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
