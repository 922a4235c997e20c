// The verdict, by the product's own core: route, method, live secret, signature's form, declared length, then the body. It mirrors
// src/pipeline.ts; every way to the upstream still leads through a permit, and only src/core/permit.ts mints one.
import type { Reason } from '../../src/core/decision.ts';
import { declaredLength, type Head } from '../../src/core/head.ts';
import type { Keyring, Secret } from '../../src/core/keyring.ts';
import { judge, type Permit, permitForward, permitReported } from '../../src/core/permit.ts';
import { refusedForHeaders } from '../../src/core/refusal.ts';
import { type Route, type RouteTable, reports } from '../../src/core/routes.ts';
import { signatureForm } from '../../src/core/signature-form.ts';
import { pathOf } from '../../src/core/targets.ts';

export interface Refuse {
  readonly kind: 'refuse';
  readonly reason: Reason;
  readonly allow: readonly string[] | null;
}

/** What a head comes to, before a byte of its body is read. */
export type Plan =
  | Refuse
  | {
      readonly kind: 'verify';
      readonly route: Route;
      readonly maxBody: number;
      readonly at: number;
      readonly live: readonly Secret[];
      readonly digest: string;
    }
  /** The body is not verified: forward routes, and what is reported. Here it is read whole all the same. */
  | { readonly kind: 'pass'; readonly permit: Permit; readonly maxBody: number };

export class Gatekeeper {
  readonly #routes: RouteTable;
  readonly #keyring: Keyring;

  constructor(routes: RouteTable, keyring: Keyring) {
    this.#routes = routes;
    this.#keyring = keyring;
  }

  /** `at`: epoch milliseconds. The parser has asked the gate already. */
  plan(head: Head, at: number): Plan {
    const route = this.#routes.claim(pathOf(head.target), at);
    if (refusedForHeaders(head, route) !== null) return refuse('bad_request');
    if (route.action === 'reject') return refuse('route_rejected');
    const allowed = route.methods === null || route.methods.includes(head.method);
    const { maxBody } = route;
    if (route.action === 'forward') {
      const permit = permitForward(route);
      if (!allowed || permit === null) return refuse('method_not_allowed', route.methods);
      return { kind: 'pass', permit, maxBody };
    }
    const live = this.#keyring.live(route.secrets, at);
    const form = signatureForm(head);
    const early = allowed ? (live.length === 0 ? 'no_live_secret' : form.reason) : 'method_not_allowed';
    if (early !== null) {
      const permit = permitReported(route, reports(route, at), { reason: early, body: null });
      return permit === null ? refuse(early, route.methods) : { kind: 'pass', permit, maxBody };
    }
    if ((declaredLength(head) ?? 0) > maxBody) return refuse('body_too_large');
    return { kind: 'verify', route, maxBody, at, live, digest: form.digest };
  }

  /** The permit, with the verified bytes in it; or why there is none. */
  verdict({ route, live, digest, at }: Plan & { kind: 'verify' }, body: Buffer): Permit | Refuse {
    const verdict = judge({ route, keyring: this.#keyring, live, digest, body });
    if ('permit' in verdict) return verdict.permit;
    const reported = permitReported(route, reports(route, at), { reason: verdict.refused, body });
    return reported ?? refuse(verdict.refused);
  }
}

function refuse(reason: Reason, allow: readonly string[] | null = null): Refuse {
  return { kind: 'refuse', reason, allow };
}
