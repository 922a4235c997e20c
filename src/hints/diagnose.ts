// Why was it refused? Looks for the mistakes that senders and operators usually make, in bounded work.
// Its hints are for the operator alone: no text made here may hold a value, a digest or a part of a signature, and
// nothing here may ever turn a refusal into a pass.
import type { Buffer } from 'node:buffer';
import { createHash, createHmac, createSecretKey, type KeyObject, timingSafeEqual } from 'node:crypto';
import { type BodySpelling, bodySpellings } from './body-variants.ts';
import { keySpellings, LITERAL_SECRETS } from './key-variants.ts';
import { readLoosely } from './loose-signature.ts';

export interface DiagnosisKey {
  readonly id: string;
  readonly key: KeyObject;
  /** What the secret is to the request's route. */
  readonly use: 'route' | 'other_route' | 'expired' | 'not_yet';
  /** `expired at 2026-12-01T00:00:00Z`, for those outside their validity. */
  readonly outside?: string | null;
}

export interface DiagnosisInput {
  readonly body: Buffer;
  /** The header's value as it came. */
  readonly given: string;
  readonly keys: readonly DiagnosisKey[];
  /** Bytes: a longer body is tried only as it is. All the hashing together stays below 64 times this. */
  readonly maxBytes: number;
}

/**
 * The likely cause of a mismatch, in one line, or null where none was found. Never throws.
 *
 * Runs on the event loop. Measured without a hit, two keys, `maxBytes` 64 KiB: 0.6 ms for a delivery of 600 bytes, 6 ms
 * for 15 KiB, 15 ms for the worst 64 KiB found. So it belongs behind a rate limit, and after the answer has gone out:
 * the time that it takes tells about secrets.
 */
export function diagnose(input: DiagnosisInput): string | null {
  const { digest, faults } = readLoosely(input.given);
  if (digest === null) return sentence(faults);
  const cause = new Search(input, digest).cause();
  if (cause?.length === 0 && faults.length > 0) return sentence([...faults, 'apart from that it is right']);
  return sentence([...faults, ...(cause ?? [])]);
}

/** What is wrong with the form of a signature header, as far as the header alone tells; null where nothing is. */
export function shapeHint(given: string): string | null {
  return sentence(readLoosely(given).faults);
}

function sentence(parts: readonly string[]): string | null {
  return parts.length === 0 ? null : parts.join('; ');
}

/** What one HMAC costs beside its bytes, in bytes of the same budget. */
const HMAC_COST = 4096;
const BUDGET = 64;

class Search {
  readonly #input: DiagnosisInput;
  readonly #digest: Buffer;
  #left: number;

  constructor(input: DiagnosisInput, digest: Buffer) {
    // The route's own secrets first: when the budget runs out, it ran out on the least likely.
    const own = input.keys.filter(({ use }) => use === 'route');
    const foreign = input.keys.filter(({ use }) => use !== 'route');
    this.#input = { ...input, keys: [...own, ...foreign] };
    this.#digest = digest;
    this.#left = input.maxBytes * BUDGET;
  }

  /** The parts of the hint; an empty list where a secret of the route signs this very body; null for no cause. */
  cause(): readonly string[] | null {
    const { keys, body, maxBytes } = this.#input;
    const asItIs = keys.find(({ key }) => this.#signs(key, body));
    if (asItIs !== undefined) return whose(asItIs);
    if (body.length > maxBytes) return null;
    return this.#otherKeys() ?? this.#otherBodies();
  }

  #otherKeys(): readonly string[] | null {
    const { keys, body } = this.#input;
    for (const entry of keys) {
      for (const { hint, value } of keySpellings(entry.key)) {
        if (this.#signs(createSecretKey(value), body)) return [hint, ...whose(entry)];
      }
    }
    const literal = LITERAL_SECRETS.find(({ key }) => this.#signs(key, body));
    return literal === undefined ? this.#withoutKey() : [literal.hint];
  }

  /** HMAC with its arguments swapped, and a hash without any key. */
  #withoutKey(): readonly string[] | null {
    const { keys, body } = this.#input;
    if (body.length > 0) {
      const bodyAsKey = createSecretKey(body);
      for (const entry of keys) {
        const value = entry.key.export();
        const matches = this.#signs(bodyAsKey, value);
        value.fill(0);
        if (matches) return ['the secret and the body were swapped when signing', ...whose(entry)];
      }
    }
    const hash = createHash('sha256').update(body).digest();
    return this.#equals(hash) ? ['the signature is a plain SHA-256 of the body, made without a secret'] : null;
  }

  /** First with the route's own secrets, then with the others as far as the budget goes. */
  #otherBodies(): readonly string[] | null {
    const { keys, body, maxBytes } = this.#input;
    const own = keys.filter(({ use }) => use === 'route');
    const foreign = keys.filter(({ use }) => use !== 'route');
    const tried: BodySpelling[] = [];
    for (const spelling of bodySpellings(body, maxBytes)) {
      tried.push(spelling);
      if (own.some(({ key }) => this.#signs(key, spelling.body))) return [spelling.hint];
    }
    for (const spelling of tried) {
      const entry = foreign.find(({ key }) => this.#signs(key, spelling.body));
      if (entry !== undefined) return [spelling.hint, ...whose(entry)];
    }
    return null;
  }

  #signs(key: KeyObject, body: Buffer): boolean {
    this.#left -= body.length + HMAC_COST;
    if (this.#left < 0) return false;
    return this.#equals(createHmac('sha256', key).update(body).digest());
  }

  #equals(hash: Buffer): boolean {
    return hash.length === this.#digest.length && timingSafeEqual(hash, this.#digest);
  }
}

function whose({ id, use, outside }: DiagnosisKey): readonly string[] {
  const date = outside == null ? '' : ` (${outside})`;
  switch (use) {
    case 'route':
      return [];
    case 'other_route':
      return [`signed with secret "${id}" of another route`];
    case 'expired':
      return [`signed with secret "${id}", which has expired${date}`];
    case 'not_yet':
      return [`signed with secret "${id}", which is not valid yet${date}`];
    default:
      return use satisfies never;
  }
}
