// The secrets after their sources are read again. A value that disappears or becomes invalid stays in use. After
// a change the old value stays valid for its overlap. A file that is removed from its directory is retired.
// Everything but readSecrets is pure: readings and time in, secrets out.
import type { SecretSource } from '../config/config.ts';
import type { Env } from '../config/variables.ts';
import { isPrevious, previousOf, type Secret } from '../core/keyring.ts';
import { readSource, type SecretMaterial } from './sources.ts';

/** Milliseconds. A value that is replaced sooner than this may be the first half of a file that was written slowly. */
const WHOLE_AFTER_MS = 60_000;

/** Every secret, each previous value right after its successor. */
type Materials = readonly SecretMaterial[];

export const isPreviousValue = ({ id, key }: SecretMaterial): boolean => key !== null && isPrevious(id);

/** Reads every source once, as at start. Never throws: a secret that cannot be used has a `problem`. */
export async function readSecrets(sources: readonly SecretSource[], env: Env): Promise<Materials> {
  const readings = await Promise.all(sources.map((source) => readSource(source, env)));
  return rotate(null, readings.flat(), 0);
}

/** The secrets after a new reading; `before` is null at start. The overlap of a changed value begins at `now`. */
export function rotate(before: Materials | null, readings: readonly SecretMaterial[], now: number): Materials {
  const current = before ?? [];
  const fresh = readings.flatMap((secret) => keepGood(secret, current));
  return withoutConflicts(fresh).flatMap((secret) => {
    const equal = current.filter((other) => sameValue(other, secret));
    const old = equal.find(({ id }) => id === secret.id);
    // An equal value stays the same key object, by which its last match is known, also once its first name is gone.
    const same = equal.find(({ id }) => id === secret.id || !fresh.some((other) => other.id === id));
    const adoptedAt = old === undefined ? before && now : old.adoptedAt;
    const adopted = { ...secret, key: same?.key ?? secret.key, adoptedAt };
    return [adopted, ...previousFor(adopted, current, now)];
  });
}

function sameValue(a: SecretMaterial | undefined, b: SecretMaterial): boolean {
  return a?.key != null && b.key?.equals(a.key) === true;
}

export function usable(secrets: Materials): readonly (SecretMaterial & Secret)[] {
  return secrets.filter((secret): secret is SecretMaterial & Secret => secret.key !== null);
}

/** A message for each secret that can't be used, or is used although its source is bad. No message holds a value. */
export function failuresOf(secrets: Materials): readonly string[] {
  return secrets.flatMap(({ kind, id, source, problem }) => {
    if (problem === null) return [];
    return [kind === 'source' ? `${source}: ${problem}` : `secret ${id} (${source}): ${problem}`];
  });
}

/** Keeps good values in use. An empty or unreadable directory counts as a failed mount: all its values stay. */
function keepGood(fresh: SecretMaterial, current: Materials): Materials {
  if (fresh.key !== null) return [fresh];
  const whole = fresh.kind === 'source';
  const good = current.filter(
    ({ id, source, key }) => key !== null && (whole ? source === fresh.source : id === fresh.id),
  );
  if (good.length === 0) return [fresh];
  const problem = `${fresh.problem}; the last good value is still in use`;
  return good.map(({ kind, id, key }) => ({ ...fresh, kind, id, key, problem }));
}

/** Takes the key of secrets with a reserved id or that of an earlier one, and warns of the value of an earlier one. */
function withoutConflicts(secrets: readonly SecretMaterial[]): readonly SecretMaterial[] {
  const kept: SecretMaterial[] = [];
  for (const secret of secrets) {
    const namesake = kept.find(({ id }) => id === secret.id);
    const taken = namesake && secret.key && `its id is already taken by the secret from ${namesake.source}`;
    const isReserved = secret.kind === 'secret' && isPrevious(secret.id);
    const problem = isReserved ? 'ids that end in .previous are reserved for replaced values' : taken;
    const equal = kept.find((other) => sameValue(other, secret));
    const warnings = equal ? [`it has the same value as ${equal.id}, under which its matches are counted`] : [];
    if (problem) kept.push({ ...secret, key: null, problem, warnings: [] });
    else kept.push({ ...secret, sameAs: equal?.id ?? null, warnings: [...secret.warnings, ...warnings] });
  }
  return kept;
}

/** The value that this or an earlier change replaced, if any. Even expired, it tells late senders from forgers. */
function previousFor(secret: SecretMaterial, current: Materials, now: number): Materials {
  if (secret.key === null || secret.overlap === null) return [];
  const id = previousOf(secret.id);
  const old = current.find((other) => other.id === secret.id);
  if (old === undefined || old.key === null || sameValue(old, secret) || isHalf(old, now)) {
    return current.filter((other) => other.id === id && isPreviousValue(other));
  }
  const source = `replaced value of ${secret.id}`;
  const notAfter = Math.min(now + secret.overlap, secret.notAfter ?? Number.POSITIVE_INFINITY);
  return [{ ...secret, id, source, key: old.key, problem: null, warnings: [], notAfter, overlap: null }];
}

/** True if the value may be the first half of its successor: such a value never becomes a previous one. */
function isHalf({ adoptedAt }: SecretMaterial, now: number): boolean {
  // If the clock was set back, the value counts as whole, so that it gets its overlap.
  return adoptedAt !== null && adoptedAt <= now && now - adoptedAt < WHOLE_AFTER_MS;
}

/** Ends every overlap at `now` (epoch milliseconds), e.g. after a leak: signatures with old values count as expired. */
export function retirePrevious(current: Materials, now: number): Materials {
  return current.map((secret) =>
    isPreviousValue(secret) ? { ...secret, ended: true, notAfter: Math.min(now, secret.notAfter ?? now) } : secret,
  );
}
