// Finds the likely cause of a refused signature among the usual mistakes of senders and operators.
// Hints are only for the operator. None holds a value, a digest or a part of a signature, and none lets anything pass.
import { Buffer } from 'node:buffer';
import { createHmac, type KeyObject, timingSafeEqual } from 'node:crypto';
import { dropOldest } from '../base/drop-oldest.ts';
import { firstValue } from '../core/header-lines.ts';
import type { Hint } from '../core/hint.ts';
import { isListed, outsideByClock, type Secret, stateOf } from '../core/keyring.ts';
import type { Head } from '../core/request-head.ts';
import { SIGNATURE_HEADER, SIGNATURE_PREFIX, signatureForm } from '../core/signature.ts';
import { bodyVariants, decompressed, keyVariants } from './variants.ts';

/** The maximum number of diagnoses per second: without it, each bad signature of a flood would cost a hundred HMACs. */
const DIAGNOSES_PER_SECOND = 10;
/** Bytes. The proxy tries no variants of a larger body. */
const MAX_BYTES = 16 * 1024;
const KEPT = 16;

/** The proxy's diagnosis, rate-limited. */
export function createDiagnosis() {
  let second = 0;
  let used = 0;
  /** The last cause that was found, by the look of its sender: a flood is not examined one by one. */
  const causes = new Map<string, Hint>();
  const mayRun = (): boolean => {
    const current = Math.floor(Date.now() / 1000);
    if (current !== second) [second, used] = [current, 0];
    return ++used <= DIAGNOSES_PER_SECOND;
  };
  return {
    /** The problems of a signature's form; null if `reason` is not about the form, or the rate limit is reached. */
    form(head: Head, reason: string): Hint | null {
      if (head.signatures !== 1 || reason !== signatureForm(head).reason || !mayRun()) return null;
      return hintOf(readLoosely(head.signature).problems, null);
    },
    /** Beyond the rate limit, what was found of a request that looks alike, on a route with the same secrets. */
    mismatch(signed: Omit<DiagnosisInput, 'maxBytes'>): Hint | null {
      const { lines = [], listed } = signed;
      const look = `${firstValue(lines, 'user-agent')} ${firstValue(lines, 'content-type')} ${listed}`;
      if (!mayRun()) {
        const likely = causes.get(look);
        return likely === undefined
          ? null
          : { diagnosis: likely.diagnosis, text: `not examined; one like it: ${likely.text}`, isGuess: true };
      }
      const hint = diagnose({ ...signed, maxBytes: MAX_BYTES });
      if (hint === null || hint.diagnosis === 'another-secret') causes.delete(look);
      else causes.set(look, hint);
      dropOldest(causes, KEPT);
      return hint;
    },
  };
}

interface DiagnosisInput {
  readonly body: Buffer;
  /** The header's value as it came. */
  readonly given: string;
  readonly secrets: readonly Secret[];
  /** The ids that the route lists; null for all. */
  readonly listed: readonly string[] | null;
  /** Epoch milliseconds: the time that decides which secrets are live. */
  readonly at: number;
  /** The head's lines, flat: name, value, …; omitted if only the signature is known. */
  readonly lines?: readonly string[];
  /** Bytes. No variants of a longer body are tried. All hashing together stays below 80 times this number. */
  readonly maxBytes: number;
}

/**
 * The likely cause of a mismatch, in one line, or null if none was found. Never throws.
 *
 * Runs on the event loop. Measured with two keys, no match and `maxBytes` 64 KiB: 0.7 ms for a delivery of 600 bytes,
 * 2.1 ms for 15 KiB, 9 ms for the worst 64 KiB found. Callers must limit its rate, and call it only after the
 * answer: its duration depends on secrets.
 */
export function diagnose({ given, lines = [], ...signed }: DiagnosisInput): Hint | null {
  const { digest, problems } = readLoosely(given);
  if (digest === null) return hintOf(problems, null);
  const arrived = signed.body.length === 0 ? EMPTY : decompressed(signed.body, lines);
  return hintOf(problems, causeOf(signed, digest) ?? (arrived && [arrived]));
}

/** The hint for an empty body, which proves nothing: anybody can send one. */
const EMPTY: Hint = { diagnosis: 'another-secret', text: 'the body came empty, so something in front may drop it' };

/** The hint for a request with the reason `expired_secret`, whose signer is known without a search. */
export function outsideHint(id: string | null, { secrets, ...route }: Pick<Signed, 'secrets' | 'listed' | 'at'>) {
  const signer = secrets.find((secret) => secret.id === id);
  return signer === undefined ? null : (wrongUseOf(signer, route)[0] ?? null);
}

/** The cause of a mismatch. Empty: a secret of the route signed exactly this body in the wrong form. Null: unknown. */
type Cause = readonly Hint[] | null;

/** Joins form problems and the cause. A known cause sets the diagnosis: fixing the form alone would not help. */
function hintOf(problems: readonly string[], cause: Cause): Hint | null {
  const [first] = cause ?? [];
  if (problems.length === 0 && first === undefined) return null;
  const rest = cause?.length === 0 ? ['otherwise it is correct'] : (cause?.map(({ text }) => text) ?? []);
  const secret = cause?.find((part) => part.secret !== undefined)?.secret;
  const diagnosis = first?.diagnosis ?? 'signature-form';
  const isGuess = cause?.some((part) => part.isGuess) ?? false;
  return { diagnosis, text: [...problems, ...rest].join('; '), isGuess, ...(secret === undefined ? {} : { secret }) };
}

/** The fixed cost of one HMAC, in bytes of the budget. */
const HMAC_COST = 4096;
const BUDGET = 80;

type Signed = Omit<DiagnosisInput, 'given'>;

function causeOf(signed: Signed, digest: Buffer): Cause {
  let remaining = signed.maxBytes * BUDGET;
  for (const [cause, key, body] of attempts(signed)) {
    remaining -= body.length + HMAC_COST;
    if (remaining < 0) return null;
    const hash = createHmac('sha256', key).update(body).digest();
    if (hash.length === digest.length && timingSafeEqual(hash, digest)) return cause;
  }
  return null;
}

type Attempt = readonly [cause: Cause, key: KeyObject, body: Buffer];

/** The likely attempts first, with the route's own secrets, so that the budget runs out on unlikely ones. */
function* attempts({ body, secrets, maxBytes, ...route }: Signed): Generator<Attempt> {
  const signers = secrets.map(({ key, ...secret }) => ({ key, wrong: wrongUseOf(secret, route) }));
  const { own = [], foreign = [] } = Object.groupBy(signers, ({ wrong }) => (wrong.length === 0 ? 'own' : 'foreign'));
  const ordered = [...own, ...foreign];
  for (const { key, wrong } of ordered) yield [wrong, key, body];
  if (body.length > maxBytes) return;
  for (const { key, wrong } of ordered) {
    for (const [hint, variant] of keyVariants(key)) yield [[hint, ...wrong], variant, body];
  }
  const variants = bodyVariants(body, maxBytes);
  for (const signers of [own, foreign]) {
    for (const [hint, variant] of variants) {
      for (const { key, wrong } of signers) yield [[hint, ...wrong], key, variant];
    }
  }
}

const OUTSIDE = {
  expired: ['expired-secret', 'has expired'],
  not_yet: ['early-secret', 'is not valid yet'],
} as const;

/** The problem with the use of a secret, in words; empty for a live one that the route lists. */
function wrongUseOf(secret: Omit<Secret, 'key'>, { listed, at }: Pick<Signed, 'listed' | 'at'>): readonly Hint[] {
  const { id } = secret;
  const state = stateOf(secret, at);
  if (state === 'live') {
    const text = `signed with secret "${id}" of another route`;
    return isListed(id, listed) ? [] : [{ diagnosis: 'other-route-secret', text }];
  }
  const [diagnosis, which] = OUTSIDE[state];
  const text = `signed with secret "${id}", which ${which} (${outsideByClock(secret, at)})`;
  return [{ diagnosis, text, secret: id }];
}

/** The digest, with what people write around it, or in place of the prefix. */
const LOOSE = new RegExp(
  `^["']?(?:${SIGNATURE_HEADER}\\s*:\\s*)?(?:(?:hmac-?)?sha-?256\\s*[:=]\\s*)?([\\w+/=-]+)["']?$`,
  'i',
);
const MAX_LENGTH = 1024;
const HEX_DIGEST = /^[0-9a-f]{64}$/i;

/**
 * The signature that a badly written header probably means: the 32 bytes of the HMAC (null if they were not found), and
 * the problems in its format. No problem repeats a part of the header. Never throws; reads at most 1024 characters.
 */
function readLoosely(given: string): { readonly digest: Buffer | null; readonly problems: readonly string[] } {
  const [, text = ''] = LOOSE.exec(given.slice(0, MAX_LENGTH + 1).trim()) ?? [];
  const problems = given === SIGNATURE_PREFIX + text ? [] : ['the header is not SHA256:<base64> and nothing else'];
  return { digest: readDigest(text, problems), problems };
}

function readDigest(text: string, problems: string[]): Buffer | null {
  if (/^[\w+/-]{43}=?$/.test(text)) {
    if (/[-_]/.test(text)) problems.push('the signature is url-safe base64, not standard base64');
    if (!text.endsWith('=')) problems.push('the signature lacks its base64 padding');
    return Buffer.from(text, 'base64');
  }
  const inner = Buffer.from(text, 'base64').toString('latin1');
  const hex = [text, inner].find((encoded) => HEX_DIGEST.test(encoded));
  if (hex === text) problems.push('the signature is hex, not base64');
  else if (hex === inner) problems.push('the signature is the base64 of the hex text, not of the 32 bytes');
  else problems.push('the signature is not the base64 of 32 bytes');
  return hex === undefined ? null : Buffer.from(hex, 'hex');
}
