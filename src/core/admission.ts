// Admission decides what the rules do with a request. Beside the rules only a loop, a body that does not come whole, full
// limits and `once` decide (in pipeline.ts and what it calls). Pure: from head, policy and time it makes one of four
// admissions. The pipeline carries the admission out, `explain` and `verify` print it, so all three agree.
//
//   gate -> route, its headers -> reject: refuse
//                              -> forward: method ------------------------------------> permit
//                              -> verify: query, method, secret, form, length -> read -> `admitBody` -> permit
//
// In report mode some refusals become `report`: the request is forwarded, and counted as one that would be refused.
import type { Buffer } from 'node:buffer';
import { type GateRefusal, refusedByGate, refusedForHeaders, refusedForQuery } from './gate-rules.ts';
import { type Hint, largeBodyHint } from './hint.ts';
import type { Keyring } from './keyring.ts';
import { type Permit, permitForward, permitReported, permitUpgrade, type ToVerify, verdictOf } from './permit.ts';
import type { Reason } from './reasons.ts';
import { declaredLength, type Head } from './request-head.ts';
import type { RequestRecord } from './request-record.ts';
import { type Route, type RouteTable, UNMATCHED } from './routes.ts';
import { signatureForm } from './signature.ts';
import { asksForWebSocket } from './websocket-handshake.ts';

/** The routes, secrets and settings that apply to requests. A reload swaps it; a request keeps the one that it began with. */
export interface Policy {
  readonly routes: RouteTable;
  readonly keyring: Keyring;
  /** Times in milliseconds. */
  readonly settings: {
    readonly bodyTimeout: number;
    /** Bytes. */
    readonly maxHeader: number;
    /** The maximum number of client connections; at most half of them may be tunnels. */
    readonly connections: number;
    /** `deferrable`: for a delivery that is stored if the upstream does not take it. */
    readonly retryConnectFor: Readonly<Record<'plain' | 'deferrable', number>>;
    readonly responseTimeout: number;
    readonly idleTimeout: number;
    readonly forwardedHeaders: 'none' | 'overwrite';
  };
  /** True for the address of a proxy whose X-Forwarded-For may name the client. */
  readonly trusts: (address: string) => boolean;
}

/** A request whose head is complete, and the policy and time that apply to it until its end. */
export interface Applicant {
  readonly head: Head;
  readonly policy: Policy;
  /** Epoch milliseconds: the time that decides the route's mode, and which secrets are live. */
  readonly at: number;
}

/** `secret`: the id of the expired or not yet valid secret that signed the request; null for other reasons. */
export interface Refused extends Pick<RequestRecord, 'rule' | 'header' | 'hint' | 'secret'> {
  readonly kind: 'refuse';
  /** The path of the route for the record: `unmatched` if a rule other than `query` refuses the request. */
  readonly routePath: string;
  readonly reason: Reason;
  /** The methods that the route allows if the answer is 405; else null. */
  readonly allow: readonly string[] | null;
}

export interface Permitted {
  /** `report`: the request is forwarded, but an enforcing route would refuse it. */
  readonly kind: 'permit' | 'report';
  readonly route: Route;
  readonly permit: Permit;
  readonly hint: Hint | null;
  /** The same as in `Refused`. */
  readonly secret: string | null;
}

/** A request whose verdict needs its body, which may be empty. */
export interface ToRead extends ToVerify {
  readonly kind: 'read';
  /** The declared length in bytes; null for a chunked body. */
  readonly declared: number | null;
}

export type Admission = Refused | Permitted | ToRead;

/** The first step: every decision that needs no body. */
export function admit(applicant: Applicant): Admission {
  const { head, policy, at } = applicant;
  const atGate = refusedByGate(head);
  if (atGate !== null) return byRule(atGate, UNMATCHED);
  const route = policy.routes.routeFor(head.path, at);
  if (route === null) return byRule({ rule: 'path', header: null, hint: null }, UNMATCHED); // it cannot be folded
  const forHeaders = refusedForHeaders(head, route);
  if (forHeaders !== null) return byRule(forHeaders, UNMATCHED);
  if (route.action === 'reject') return refused(route, 'route_rejected');
  return route.action === 'forward' ? forwarded(head, route) : verified(applicant, route);
}

/** The second step: the verdict on a body that was read whole. */
export function admitBody(
  { route, live, digest }: ToRead,
  { policy, at }: Pick<Applicant, 'policy' | 'at'>,
  body: Buffer,
): Refused | Permitted {
  const verdict = verdictOf({ route, keyring: policy.keyring, live, digest, body });
  if ('permit' in verdict) return { kind: 'permit', route, permit: verdict.permit, hint: null, secret: null };
  return refusedOrReported(route, at, { reason: verdict.refused, body, secret: verdict.secret });
}

function forwarded(head: Head, route: Route): Admission {
  if (!allows(route, head.method)) return refused(route, 'method_not_allowed');
  const permit = (asksForWebSocket(head) ? permitUpgrade(route) : null) ?? permitForward(route);
  if (permit === null) throw new Error('no permit on a forward route');
  return { kind: 'permit', route, permit, hint: null, secret: null };
}

function verified({ head, policy, at }: Applicant, route: Route): Admission {
  const query = refusedForQuery(head, route);
  if (query !== null) return byRule(query, route.path);
  if (!allows(route, head.method)) return byHead(route, at, 'method_not_allowed');
  const form = signatureForm(head);
  const live = policy.keyring.live(route.secrets, at);
  if (live.length === 0) {
    // Routes that an ambiguous target combines may share no secret: that is the client's mistake, so it gets no 503.
    if (route.secrets?.length === 0) return byHead(route, at, form.reason ?? 'signature_mismatch');
    const hint = hintOf('secrets-outside-dates', policy.keyring.whyNoneLive(route.secrets, at));
    return refusedOrReported(route, at, { reason: 'no_live_secret', hint, body: null });
  }
  if (form.reason !== null) return byHead(route, at, form.reason);
  const declared = declaredLength(head);
  if (declared !== null && declared > route.maxBody)
    return refused(route, 'body_too_large', { hint: largeBodyHint(route.maxBody, declared) });
  return { kind: 'read', route, live, digest: form.digest, declared };
}

const byHead = (route: Route, at: number, reason: Reason) => refusedOrReported(route, at, { reason, body: null });

const allows = (route: Route, method: string): boolean => route.methods === null || route.methods.includes(method);

type Details = Partial<Pick<Refused, 'hint' | 'secret'>>;
type Grounds = Pick<Refused, 'reason'> & Details & { readonly body: Buffer | null };

function refusedOrReported(route: Route, at: number, grounds: Grounds): Refused | Permitted {
  const { reason, body, hint = null, secret = null } = grounds;
  const permit = permitReported(route, at, { reason, body });
  return permit === null ? refused(route, reason, { hint, secret }) : { kind: 'report', route, permit, hint, secret };
}

const hintOf = (diagnosis: Hint['diagnosis'], text: string | null) => (text === null ? null : { diagnosis, text });

function refused({ path, methods }: Route, reason: Reason, details: Details = {}): Refused {
  const allow = reason === 'method_not_allowed' ? methods : null;
  return { ...NO_DETAILS, ...details, allow, routePath: path, reason };
}

function byRule(refusal: GateRefusal, routePath: string): Refused {
  return { ...NO_DETAILS, ...refusal, hint: hintOf('gate-rule', refusal.hint), routePath, reason: 'bad_request' };
}

const NO_DETAILS = { kind: 'refuse', rule: null, header: null, hint: null, allow: null, secret: null } as const;
