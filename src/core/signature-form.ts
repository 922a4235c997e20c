// What can be said of a request's signature before a byte of its body is read (spec §4).
import type { Reason } from './decision.ts';
import type { Head } from './head.ts';
import { readSignature } from './signature.ts';

export type Form =
  | { readonly reason: null; readonly digest: string }
  | { readonly reason: Reason; readonly digest: '' };

/** The signature's form, without a look at the body: exactly one field line, no look-alike, exactly two tokens. */
export function signatureForm(head: Head): Form {
  if (head.signatures > 1 || head.lookAlikes > 0) return { reason: 'multiple_signatures', digest: '' };
  if (head.signatures === 0) return { reason: 'missing_signature', digest: '' };
  const form = readSignature(head.signature);
  return form.kind === 'ok' ? { reason: null, digest: form.digest } : { reason: form.reason, digest: '' };
}
