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
  /** What could not be used although it was before: in words, never a value. */
  readonly failures: readonly string[];
}

const PREVIOUS = '.previous';

/** True for a value that was replaced and may still be valid. */
export function isPrevious(secret: SecretMaterial): boolean {
  return secret.id.endsWith(PREVIOUS) && secret.source.startsWith('replaced value of ');
}

/** `held` is empty at start. `now` is epoch milliseconds: the overlap of a value that changed begins there. */
export function rotate(held: readonly SecretMaterial[], readings: Readings, now: number): Rotation {
  const failures: string[] = [];
  const fresh: SecretMaterial[] = [];
  for (const [source, reading] of readings) {
    const mine = held.filter((secret) => secret.source === sourceName(source));
    if (reading.problem !== null) fresh.push(...keepAll(mine, source, reading.problem));
    else fresh.push(...reading.secrets.map((secret) => keepGood(secret, mine)));
  }
  for (const { id, key, problem } of fresh) if (key !== null && problem !== null) failures.push(`${id}: ${problem}`);
  const secrets: SecretMaterial[] = [];
  for (const secret of judgeTogether(fresh)) {
    secrets.push(secret);
    const previous = previousOf(secret, held, now);
    if (previous !== null) secrets.push(previous);
  }
  return { secrets, failures };
}

const STILL = 'the last good value is still used';

/** A directory that can't be read, or is empty, is a mount that failed, not a decision to retire everything. */
function keepAll(mine: readonly SecretMaterial[], source: SecretSource, problem: string): readonly SecretMaterial[] {
  const good = mine.filter(({ key }) => key !== null);
  if (good.length === 0) return [unusableSource(source, problem)];
  return good.map((secret) => ({ ...secret, problem: `${problem}; ${STILL}` }));
}

function keepGood(fresh: SecretMaterial, mine: readonly SecretMaterial[]): SecretMaterial {
  if (fresh.key !== null) return fresh;
  const old = mine.find(({ id, key }) => id === fresh.id && key !== null);
  return old === undefined ? fresh : { ...fresh, key: old.key, problem: `${fresh.problem}; ${STILL}` };
}

/** The one old value: of this very change, or of an earlier one. After its end it still tells expired from forged. */
function previousOf(secret: SecretMaterial, held: readonly SecretMaterial[], now: number): SecretMaterial | null {
  if (secret.key === null || secret.overlap === null) return null;
  const old = held.find(({ id }) => id === secret.id)?.key;
  if (old === undefined || old === null || old.equals(secret.key)) {
    return held.find(({ id }) => id === secret.id + PREVIOUS) ?? null;
  }
  return {
    ...secret,
    id: secret.id + PREVIOUS,
    source: `replaced value of ${secret.id}`,
    key: old,
    problem: null,
    warnings: [],
    notAfter: Math.min(now + secret.overlap, secret.notAfter ?? Number.POSITIVE_INFINITY),
    overlap: null,
  };
}

/** After a leak: every replaced value ends at once. */
export function retirePrevious(held: readonly SecretMaterial[]): readonly SecretMaterial[] {
  return held.filter((secret) => !isPrevious(secret));
}
