// Permits: nothing reaches the upstream without one, and only the rules in this file mint them. The class is exported
// as a type alone, so code that would forward without a permit does not compile; `isPermit` checks at run time, too.
import { Buffer } from 'node:buffer';
import { firstMatch, type Keyring, type Secret } from './keyring.ts';
import { type Decision, isReportable, type Reason } from './reasons.ts';
import { type Route, reports } from './routes.ts';

class Permit {
  readonly #minted = true; // its presence is the proof: no code outside the class can add it
  readonly decision: Exclude<Decision, 'rejected' | 'duplicate' | 'deferred'>;
  readonly reason: Reason | 'none';
  /** The secret that matched; null if none did, or none was needed. */
  readonly secret: Secret | null;
  /** Exactly the bytes that the verdict is on; null if the body is streamed unchecked. */
  readonly body: Buffer | null;
  /** True if the permit opens a tunnel, in which nothing more is verified. */
  readonly tunnel: boolean;

  constructor(fields: { readonly [Field in keyof Permit]: Permit[Field] }) {
    this.decision = fields.decision;
    this.reason = fields.reason;
    this.secret = fields.secret;
    this.body = fields.body;
    this.tunnel = fields.tunnel;
  }

  /** True for a permit that this file minted; false for a look-alike that was cast past the compiler. */
  static is(value: unknown): value is Permit {
    return typeof value === 'object' && value !== null && #minted in value;
  }
}

export type { Permit };
export const isPermit = Permit.is;

/** All that a verdict needs beside the body: a signature of the right form, and the secrets to verify it with. */
export interface ToVerify {
  readonly route: Route;
  /** The live secrets of the route at the time of the request's head. */
  readonly live: readonly Secret[];
  /** The base64 of the signature. */
  readonly digest: string;
}

export type Verdict =
  | { readonly permit: Permit }
  /** `secret`: the id of the expired or not yet valid secret that made the signature; null for a mismatch. */
  | { readonly refused: 'signature_mismatch' | 'expired_secret'; readonly secret: string | null };

/** The body that `probe` signs. A verified probe reaches the app, but never counts as a delivery. */
export const PROBE_BODY = Buffer.from('{"probe":"entrupy-signature-proxy"}');
/** Its `User-Agent`, which no sender has: where nothing verifies it, only that tells. */
export const PROBE_AGENT = 'entrupy-signature-proxy';

/**
 * The verdict on a body that was read whole. If no live secret matches, those that have expired or are not yet valid
 * are tried, only to tell the operator: the answer is a 401 all the same.
 */
export function verdictOf(given: ToVerify & { readonly keyring: Keyring; readonly body: Buffer }): Verdict {
  const { route, keyring, live, body } = given;
  if (route.action !== 'verify') throw new Error('a verdict on a route that is not verified');
  const digest = Buffer.from(given.digest, 'latin1');
  const signer = firstMatch(live, body, digest);
  if (signer !== null) {
    const decision = body.equals(PROBE_BODY) ? 'probe' : 'accepted';
    return { permit: new Permit({ decision, reason: 'none', secret: signer, body, tunnel: false }) };
  }
  const outside =
    live === keyring.secrets ? [] : keyring.listed(route.secrets).filter((secret) => !live.includes(secret));
  const secret = firstMatch(outside, body, digest);
  return { refused: secret === null ? 'signature_mismatch' : 'expired_secret', secret: secret?.id ?? null };
}

/** A permit if the route is in report mode at `at` (epoch milliseconds), and `reason` is reportable; else null. */
export function permitReported(
  route: Route,
  at: number,
  { reason, body }: { reason: Reason; body: Buffer | null },
): Permit | null {
  if (route.action !== 'verify' || !reports(route, at) || !isReportable(reason)) return null;
  return new Permit({ decision: 'reported', reason, secret: null, body, tunnel: false });
}

const FORWARDED = new Permit({ decision: 'forwarded', reason: 'none', secret: null, body: null, tunnel: false });

/** The permit of a forward route, which needs no signature; null for any other route. */
export const permitForward = (route: Route): Permit | null => (route.action === 'forward' ? FORWARDED : null);

const UPGRADED = new Permit({ ...FORWARDED, tunnel: true });

/** A permit for a WebSocket's tunnel on a forward route with `upgrade: [websocket]`; null for any other route. */
export function permitUpgrade(route: Route): Permit | null {
  return route.action === 'forward' && route.upgrade.includes('websocket') ? UPGRADED : null;
}
