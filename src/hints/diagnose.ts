// Finds the likely cause of a refused signature among the usual mistakes of senders and operators.
// Hints are only for the operator. None holds a value, a digest or a part of a signature, and none lets anything pass.
import type { Buffer } from 'node:buffer';
import { createHash, createHmac, type KeyObject, timingSafeEqual } from 'node:crypto';
import type { Hint } from '../core/diagnoses-and-remedies.ts';
import { isListed, outsideByClock, type Secret, stateOf } from '../core/keyring.ts';
import type { Policy } from '../core/policy.ts';
import type { Head } from '../core/request-head.ts';
import type { Route } from '../core/routes.ts';
import { signatureForm } from '../core/signature.ts';
import { readLoosely } from './loose-signature.ts';
import { bodyVariants, decompressed, keyVariants, NO_SECRETS } from './variants.ts';

/** The most diagnoses a second: a flood of bad signatures would cost a hundred HMACs each. */
const DIAGNOSES_PER_SECOND = 3;
/** Bytes of the largest body of which the proxy tries variants. */
const MAX_BYTES = 16 * 1024;

type Mismatch = Pick<DiagnosisInput, 'body' | 'given' | 'lines'> & { route: Route; policy: Policy; at: number };

/** The proxy's diagnosis, rate-limited. */
export function createDiagnosis() {
  let second = 0;
  let used = 0;
  const mayRun = (): boolean => {
    const current = Math.floor(Date.now() / 1000);
    if (current !== second) [second, used] = [current, 0];
    return ++used <= DIAGNOSES_PER_SECOND;
  };
  return {
    /** The problem of a signature's form; null if the head was refused for something else. */
    form(head: Head, reason: string): Hint | null {
      if (head.signatures !== 1 || reason !== signatureForm(head).reason || !mayRun()) return null;
      return hintOf(readLoosely(head.signature).problems, null);
    },
    /** `at` is epoch milliseconds. */
    mismatch({ route, policy, at, ...signed }: Mismatch): Hint | null {
      if (!mayRun()) return null;
      const keys = policy.keyring.secrets.map((secret): DiagnosisKey => {
        const state = stateOf(secret, at);
        const live = isListed(secret.id, route.secrets) ? 'route' : 'other_route';
        const use = state === 'live' ? live : state;
        return { id: secret.id, key: secret.key, use, outside: outsideByClock(secret, at) };
      });
      return diagnose({ ...signed, keys, maxBytes: MAX_BYTES });
    },
  };
}

export interface DiagnosisKey extends Pick<Secret, 'id' | 'key'> {
  /** The secret's relation to the request's route. */
  readonly use: 'route' | 'other_route' | 'expired' | 'not_yet';
  /** `expired at 2026-12-01T00:00:00Z`; null for a live secret. */
  readonly outside?: string | null;
}

interface DiagnosisInput {
  readonly body: Buffer;
  /** The header's value as it came. */
  readonly given: string;
  readonly keys: readonly DiagnosisKey[];
  /** The head's lines, flat: name, value, …; none where only the signature is known. */
  readonly lines?: readonly string[];
  /** Bytes. No variants of a longer body are tried. All hashing together stays below 64 times this. */
  readonly maxBytes: number;
}

/**
 * The likely cause of a mismatch, in one line, or null if none was found. Never throws.
 *
 * Runs on the event loop. Measured with two keys, no match and `maxBytes` 64 KiB: 0.5 ms for a delivery of 600 bytes,
 * 1.5 ms for 15 KiB, 9 ms for the worst 64 KiB found. Callers must limit its rate, and must call it after the answer was
 * sent: its duration depends on secrets.
 */
export function diagnose({ given, lines = [], ...signed }: DiagnosisInput): Hint | null {
  const { digest, problems } = readLoosely(given);
  if (digest === null) return hintOf(problems, null);
  const unzipped = decompressed(signed.body, lines);
  return hintOf(problems, causeOf(signed, digest) ?? (unzipped && [unzipped]));
}

/** None: a secret of the route signs exactly this body, but the form is wrong. Null: nothing was found. */
type Cause = readonly Hint[] | null;

/** A cause besides the form of the signature is the diagnosis: whoever mends the form alone is refused again. */
function hintOf(problems: readonly string[], cause: Cause): Hint | null {
  const [first] = cause ?? [];
  if (problems.length === 0 && first === undefined) return null;
  const rest = cause?.length === 0 ? ['otherwise it is correct'] : (cause?.map(({ text }) => text) ?? []);
  const secret = cause?.find((part) => part.secret !== undefined)?.secret;
  const diagnosis = first?.diagnosis ?? 'signature-form';
  return { diagnosis, text: [...problems, ...rest].join('; '), ...(secret === undefined ? {} : { secret }) };
}

/** The fixed cost of one HMAC, in bytes of the budget. */
const HMAC_COST = 4096;
const BUDGET = 64;

type Signed = Omit<DiagnosisInput, 'given'>;

function causeOf(signed: Signed, digest: Buffer): Cause {
  let remaining = signed.maxBytes * BUDGET;
  for (const [cause, key, body] of attempts(signed)) {
    remaining -= body.length + HMAC_COST;
    if (remaining < 0) return null;
    const hash = (key === null ? createHash('sha256') : createHmac('sha256', key)).update(body).digest();
    if (hash.length === digest.length && timingSafeEqual(hash, digest)) return cause;
  }
  return null;
}

/** One way in which the signature may have been made; a plain hash has no key. */
type Attempt = readonly [cause: Cause, key: KeyObject | null, body: Buffer];

/** The likely attempts first, with the route's own secrets, so that the budget runs out on unlikely ones. */
function* attempts({ body, keys, maxBytes }: Signed): Generator<Attempt> {
  const { own = [], foreign = [] } = Object.groupBy(keys, ({ use }) => (use === 'route' ? 'own' : 'foreign'));
  const ordered = [...own, ...foreign];
  for (const owner of ordered) yield [whose(owner), owner.key, body];
  if (body.length > maxBytes) return;
  for (const owner of ordered) {
    for (const [hint, key] of keyVariants(owner.key)) yield [[hint, ...whose(owner)], key, body];
  }
  for (const [hint, key] of NO_SECRETS) yield [[hint], key, body];
  const variants = bodyVariants(body, maxBytes);
  for (const owners of [own, foreign]) {
    for (const [hint, variant] of variants) {
      for (const owner of owners) yield [[hint, ...whose(owner)], owner.key, variant];
    }
  }
}

const FOREIGN = {
  other_route: ['other-route-secret', ' of another route'],
  expired: ['expired-secret', ', which has expired'],
  not_yet: ['early-secret', ', which is not valid yet'],
} as const;

function whose({ id, use, outside }: DiagnosisKey): readonly Hint[] {
  if (use === 'route') return [];
  const date = outside == null ? '' : ` (${outside})`;
  const [diagnosis, which] = FOREIGN[use];
  const text = `signed with secret "${id}"${which}${date}`;
  return [use === 'other_route' ? { diagnosis, text } : { diagnosis, text, secret: id }];
}
