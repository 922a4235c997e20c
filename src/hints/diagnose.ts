// Finds the likely cause of a refused signature among the usual mistakes of senders and operators.
// Hints are only for the operator. None holds a value, a digest or a part of a signature, and none turns a refusal into
// a pass.
import type { Buffer } from 'node:buffer';
import { createHash, createHmac, createSecretKey, type KeyObject, timingSafeEqual } from 'node:crypto';
import { isListed, outsideText, stateOf } from '../core/keyring.ts';
import type { Policy } from '../core/policy.ts';
import type { Route } from '../core/routes.ts';
import { readLoosely } from './loose-signature.ts';
import { type BodySpelling, bodySpellings, keySpellings, LITERAL_SECRETS } from './variants.ts';

/** Without a limit, a flood of bad signatures would cost a hundred HMACs each. */
const DIAGNOSES_PER_SECOND = 3;
/** For a longer body, the proxy tries no variants. */
const MAX_BYTES = 16 * 1024;

interface Mismatch {
  readonly route: Route;
  readonly policy: Policy;
  readonly body: Buffer;
  readonly given: string;
  /** Epoch milliseconds. */
  readonly at: number;
}

/** The proxy's diagnosis, rate-limited. `now` gives epoch milliseconds. */
export function createDiagnosis(now: () => number) {
  let second = 0;
  let used = 0;
  const mayRun = (): boolean => {
    const current = Math.floor(now() / 1000);
    if (current !== second) [second, used] = [current, 0];
    return ++used <= DIAGNOSES_PER_SECOND;
  };
  return {
    /** Diagnoses only the header. */
    form: (given: string) => (mayRun() ? sentence(readLoosely(given).faults) : null),
    mismatch({ route, policy, body, given, at }: Mismatch): string | null {
      if (!mayRun()) return null;
      const keys = policy.keyring.secrets.map((secret): DiagnosisKey => {
        const state = stateOf(secret, at);
        const live = isListed(secret.id, route.secrets) ? 'route' : 'other_route';
        const use = state === 'live' ? live : state;
        return { id: secret.id, key: secret.key, use, outside: outsideText(secret, at) };
      });
      return diagnose({ body, given, keys, maxBytes: MAX_BYTES });
    },
  };
}

export interface DiagnosisKey {
  readonly id: string;
  readonly key: KeyObject;
  /** How the secret relates to the request's route. */
  readonly use: 'route' | 'other_route' | 'expired' | 'not_yet';
  /** `expired at 2026-12-01T00:00:00Z`; null for a live secret. */
  readonly outside?: string | null;
}

interface DiagnosisInput {
  readonly body: Buffer;
  /** The header's value as it came. */
  readonly given: string;
  readonly keys: readonly DiagnosisKey[];
  /** Bytes. No variants of a longer body are tried. All hashing together stays below 64 times this. */
  readonly maxBytes: number;
}

/**
 * The likely cause of a mismatch, in one line, or null where none was found. Never throws.
 *
 * Runs on the event loop. Measured with two keys, no match and `maxBytes` 64 KiB: 0.6 ms for a delivery of 600 bytes,
 * 6 ms for 15 KiB, 15 ms for the worst 64 KiB found. Callers must limit its rate, and must call it after the answer was
 * sent: its duration depends on secrets.
 */
export function diagnose(input: DiagnosisInput): string | null {
  const { digest, faults } = readLoosely(input.given);
  if (digest === null) return sentence(faults);
  const cause = new Search(input, digest).cause();
  if (cause?.length === 0 && faults.length > 0) return sentence([...faults, 'otherwise it is correct']);
  return sentence([...faults, ...(cause ?? [])]);
}

function sentence(parts: readonly string[]): string | null {
  return parts.length === 0 ? null : parts.join('; ');
}

/** The fixed cost of one HMAC, in bytes of the budget. */
const HMAC_COST = 4096;
const BUDGET = 64;

class Search {
  readonly #body: Buffer;
  readonly #maxBytes: number;
  readonly #digest: Buffer;
  readonly #own: readonly DiagnosisKey[];
  readonly #foreign: readonly DiagnosisKey[];
  #left: number;

  constructor({ body, keys, maxBytes }: DiagnosisInput, digest: Buffer) {
    this.#body = body;
    this.#maxBytes = maxBytes;
    this.#digest = digest;
    this.#own = keys.filter(({ use }) => use === 'route');
    this.#foreign = keys.filter(({ use }) => use !== 'route');
    this.#left = maxBytes * BUDGET;
  }

  /** The parts of the hint; an empty list if a secret of the route signs exactly this body; null for no cause. */
  cause(): readonly string[] | null {
    // The route's own secrets come first, so that the budget runs out on the least likely.
    const keys = [...this.#own, ...this.#foreign];
    const asItIs = keys.find(({ key }) => this.#signs(key, this.#body));
    if (asItIs !== undefined) return whose(asItIs);
    if (this.#body.length > this.#maxBytes) return null;
    return this.#otherKeys(keys) ?? this.#withoutKey(keys) ?? this.#otherBodies();
  }

  #otherKeys(keys: readonly DiagnosisKey[]): readonly string[] | null {
    for (const entry of keys) {
      for (const [hint, value] of keySpellings(entry.key)) {
        if (this.#signs(createSecretKey(value), this.#body)) return [hint, ...whose(entry)];
      }
    }
    const literal = LITERAL_SECRETS.find(([, key]) => this.#signs(key, this.#body));
    return literal === undefined ? null : [literal[0]];
  }

  /** HMAC with its arguments swapped, and a hash without any key. */
  #withoutKey(keys: readonly DiagnosisKey[]): readonly string[] | null {
    const bodyAsKey = createSecretKey(this.#body);
    for (const entry of this.#body.length === 0 ? [] : keys) {
      const value = entry.key.export();
      const matches = this.#signs(bodyAsKey, value);
      value.fill(0);
      if (matches) return ['the secret and the body were swapped when signing', ...whose(entry)];
    }
    const hash = createHash('sha256').update(this.#body).digest();
    return this.#equals(hash) ? ['the signature is a plain SHA-256 of the body, made without a secret'] : null;
  }

  /** Tries the route's own secrets first, then the others as far as the budget goes. */
  #otherBodies(): readonly string[] | null {
    const tried: BodySpelling[] = [];
    for (const spelling of bodySpellings(this.#body, this.#maxBytes)) {
      tried.push(spelling);
      const [hint, body] = spelling;
      if (this.#own.some(({ key }) => this.#signs(key, body))) return [hint];
    }
    for (const [hint, body] of tried) {
      const entry = this.#foreign.find(({ key }) => this.#signs(key, body));
      if (entry !== undefined) return [hint, ...whose(entry)];
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

const FOREIGN = {
  other_route: ' of another route',
  expired: ', which has expired',
  not_yet: ', which is not valid yet',
} as const;

function whose({ id, use, outside }: DiagnosisKey): readonly string[] {
  if (use === 'route') return [];
  const date = outside == null ? '' : ` (${outside})`;
  return [`signed with secret "${id}"${FOREIGN[use]}${date}`];
}
