// The verdict on a signature: which secrets are tried, in which order, and what it means if none matches. permit.ts
// mints the permit.
import { Buffer } from 'node:buffer';
import type { Keyring, Secret } from './keyring.ts';
import type { Route } from './routes.ts';
import { signs } from './signature.ts';

export interface SignedBody {
  readonly route: Pick<Route, 'secrets'>;
  readonly keyring: Keyring;
  /** The live secrets of the route at the time of the request's head. */
  readonly live: readonly Secret[];
  /** The base64 of the signature. */
  readonly digest: string;
  readonly body: Buffer;
}

export interface Mismatch {
  readonly refused: 'signature_mismatch' | 'expired_secret';
  /** The id of the secret outside its validity that signs so. */
  readonly secret: string | null;
}

/**
 * The id of the secret that signs the body. It tries every live secret of the route, without an early exit. Only when
 * none matches does it try those outside their validity, to tell the operator; the answer is a 401 all the same.
 */
export function findSigner(input: SignedBody): { readonly signer: string } | Mismatch {
  const { route, keyring, live, body } = input;
  const digest = Buffer.from(input.digest, 'latin1');
  const signer = firstMatch(live, body, digest);
  if (signer !== null) return { signer };
  const listed = keyring.listed(route.secrets);
  const outside = listed === live ? [] : listed.filter((secret) => !live.includes(secret));
  const secret = firstMatch(outside, body, digest);
  return { refused: secret === null ? 'signature_mismatch' : 'expired_secret', secret };
}

function firstMatch(secrets: readonly Secret[], body: Buffer, digest: Buffer): string | null {
  let match: string | null = null;
  for (const secret of secrets) {
    if (signs(secret.key, body, digest) && match === null) match = secret.id;
  }
  return match;
}
