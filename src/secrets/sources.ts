// Reads secrets from where the configuration says: files, directories, the environment. One call reads once; whoever
// watches calls again and compares keys by KeyObject.equals. It must never throw for a source that is missing or bad
// (that is a problem to report, not a crash), nor keep a copy of a value beside the KeyObject.
import type { SecretSource } from '../config/config.ts';
import { readKeyDirectory, readKeyFile } from './files.ts';
import { type KeyReading, keyFromValue, refused, type SecretMaterial } from './material.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

/** What one source held when it was read. */
export interface SourceReading {
  /** Why the source as a whole gives nothing (a directory that is missing, unreadable or empty); else null. */
  readonly problem: string | null;
  /** Empty where there is a `problem`. */
  readonly secrets: readonly SecretMaterial[];
}

const ID = /^[A-Za-z0-9._-]+$/;

/**
 * Reads every source once, in order. Never throws: what cannot be used comes with `key: null` and a `problem`; a
 * directory that gives nothing comes as one such entry with the id `directory <path>`.
 */
export async function readSecrets(
  sources: readonly SecretSource[],
  env: Environment,
): Promise<readonly SecretMaterial[]> {
  const secrets = sources.map(async (source) => {
    const reading = await readSource(source, env);
    return reading.problem === null ? reading.secrets : [unusableSource(source, reading.problem)];
  });
  return judgeTogether((await Promise.all(secrets)).flat());
}

/** Reads one source once, by itself: not yet held against the others (see judgeTogether). Never throws. */
export async function readSource(source: SecretSource, env: Environment): Promise<SourceReading> {
  switch (source.kind) {
    case 'env':
      return { problem: null, secrets: [material(source, source.id, readVariable(source, env))] };
    case 'file':
      return { problem: null, secrets: [material(source, source.id, await readKeyFile(source.file, source))] };
    case 'directory':
      return readDirectory(source);
    default:
      return source satisfies never;
  }
}

/**
 * Holds the secrets of all sources against each other: a reserved id, or one that an earlier secret has, costs a
 * secret its key; a value that an earlier one has is a warning.
 */
export function judgeTogether(secrets: readonly SecretMaterial[]): readonly SecretMaterial[] {
  const ids = new Map<string, string>();
  const judged: SecretMaterial[] = [];
  for (const secret of secrets) {
    const namesake = ids.get(secret.id);
    const twin = judged.find(({ key }) => key !== null && secret.key !== null && key.equals(secret.key));
    if (secret.id.endsWith('.previous')) {
      judged.push(without(secret, 'ids that end in .previous are reserved for values that were replaced'));
    } else if (namesake !== undefined && secret.key !== null) {
      judged.push(without(secret, `its id is already taken by the secret from ${namesake}`));
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

/** How a source is named to people. */
export function sourceName(source: SecretSource): string {
  switch (source.kind) {
    case 'env':
      return `env ${source.env}`;
    case 'file':
      return `file ${source.file}`;
    case 'directory':
      return `directory ${source.directory}`;
    default:
      return source satisfies never;
  }
}

async function readDirectory(source: SecretSource & { readonly kind: 'directory' }): Promise<SourceReading> {
  const reading = await readKeyDirectory(source.directory, source);
  if (reading.problem !== null) return { problem: reading.problem, secrets: [] };
  const secrets = reading.files.map(([name, key]) =>
    ID.test(name)
      ? material(source, name, key)
      : material(
          source,
          `file ${JSON.stringify(name)}`,
          refused('its name has other characters than A-Z a-z 0-9 . _ -'),
        ),
  );
  return { problem: null, secrets };
}

function readVariable(
  { env: name, allowShort }: SecretSource & { readonly kind: 'env' },
  env: Environment,
): KeyReading {
  const value = env[name];
  if (value === undefined) return refused('the variable is not set');
  const bytes = Buffer.from(value);
  try {
    return keyFromValue(bytes, { allowShort });
  } finally {
    bytes.fill(0);
  }
}

function material(source: SecretSource, id: string, { key, problem, warnings }: KeyReading): SecretMaterial {
  const { notBefore, notAfter, overlap } = source;
  return { id, source: sourceName(source), key, problem, warnings, notBefore, notAfter, overlap };
}

/** What stands for a source that gives nothing at all; its id, `directory <path>`, is no secret's. */
export function unusableSource(source: SecretSource, problem: string): SecretMaterial {
  return material(source, sourceName(source), refused(problem));
}

function without(secret: SecretMaterial, problem: string): SecretMaterial {
  return { ...secret, key: null, problem, warnings: [] };
}
