// A secret's bytes: the rules for an acceptable value, the key that is made from it, and when that last matched.
// No message holds a value, a part of one, its length or a hash of it.
import { isUtf8 } from 'node:buffer';
import { createSecretKey, type KeyObject } from 'node:crypto';
import type { SecretSource } from '../config/config.ts';

/** The result of reading one value: a key, or a problem; both if an older key is still in use. */
export interface KeyReading {
  readonly key: KeyObject | null;
  readonly problem: string | null;
  /** Suspicious properties of the value. */
  readonly warnings: readonly string[];
}

/** The largest secret that is read, in bytes. A larger file is almost certainly the wrong one. */
export const MAX_SECRET_BYTES = 64 * 1024;
const SHORTEST_BYTES = 16;
const RECOMMENDED_BYTES = 32;
const TOO_SHORT = `it is shorter than ${SHORTEST_BYTES} bytes and too easy to guess`;

/** Values that documentations show, ours included, or that a template left unfilled. */
const PLACEHOLDER =
  /^\s*(?:change[-_ ]?me|\$\{.*\}\s*$|\{\{.*\}\}\s*$|<.*>\s*$|the-secret-that-you-gave-to-entrupy\s*$)/i;

export const withoutKey = (problem: string): KeyReading => ({ key: null, problem, warnings: [] });

/** Makes a key from a file: one trailing `\n` or `\r\n` belongs to the file, everything else to the secret. */
export function keyFromFileContent(content: Buffer, rules: Pick<SecretSource, 'allowShort'>): KeyReading {
  const [lineBreak = ''] = /\r?\n$/.exec(content.toString('latin1', Math.max(0, content.length - 2))) ?? [];
  return keyFromValue(content.subarray(0, content.length - lineBreak.length), rules);
}

/** Makes a key from every byte of the value. The caller may overwrite the value later: the key has its own copy. */
export function keyFromValue(value: Buffer, { allowShort }: Pick<SecretSource, 'allowShort'>): KeyReading {
  if (value.length === 0) return withoutKey('it is empty');
  if (value.length > MAX_SECRET_BYTES)
    return withoutKey(`it is larger than ${MAX_SECRET_BYTES / 1024} KiB: is this the right file?`);
  if (!isUtf8(value)) return withoutKey('it is not valid UTF-8: a secret is text, used as it is and never decoded');
  if (value.length < SHORTEST_BYTES && !allowShort) {
    return withoutKey(`${TOO_SHORT} (allowShort accepts it)`);
  }
  return { key: createSecretKey(value), problem: null, warnings: warningsAbout(value) };
}

const KEPT = 'which is kept as part of the secret';

const QUOTED =
  "it is enclosed in quotes, which are kept as part of the secret (docker's --env-file does not remove them)";

function warningsAbout(value: Buffer): readonly string[] {
  const text = value.toString('utf8');
  const isWeak = value.length >= SHORTEST_BYTES && value.length < RECOMMENDED_BYTES;
  const traits: readonly (readonly [holds: boolean, warning: string])[] = [
    [value.length < SHORTEST_BYTES, TOO_SHORT],
    [isWeak, `it is shorter than ${RECOMMENDED_BYTES} bytes: longer secrets are safer`],
    [/^\s/.test(text), `it begins with white space or a byte order mark, ${KEPT}`],
    [/\s$/.test(text), `it ends with white space or a line break, ${KEPT}`],
    [/^(["']).*\1$/s.test(text), QUOTED],
    [PLACEHOLDER.test(text), 'it is a placeholder of a documentation or a template, which anyone can guess'],
  ];
  return traits.flatMap(([holds, warning]) => (holds ? warning : []));
}

// --- when each last verified a delivery here: by key, so a value that became `<id>.previous` keeps its time

/** Epoch seconds, by the path of the route. */
const matches = new WeakMap<KeyObject, Map<string, number>>();

export function recordMatch(secret: { readonly key: KeyObject } | null, route: string): void {
  if (secret === null) return;
  const ofKey = matches.get(secret.key) ?? new Map<string, number>();
  matches.set(secret.key, ofKey.set(route, Date.now() / 1000));
}

/** In epoch seconds; 0 if it has not matched. */
export const lastMatch = (key: KeyObject | null): number => Math.max(0, ...((key && matches.get(key)?.values()) ?? []));

export const hasMatched = (key: KeyObject, route: string): boolean => matches.get(key)?.has(route) === true;
