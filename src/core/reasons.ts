// Decisions, reasons, and failures of the upstream. A reason's metric label, log field, answer and diagnosis follow
// from its row; tests fail until docs and dashboard name a new row. `possibleDecisions` says on which routes it occurs.
import { MAX_LINES } from './header-lines.ts';
import type { Hint } from './hint.ts';
import { type Route, UNMATCHED } from './routes.ts';

/** `meaning`: why a request with this reason was refused, as a text for the operator. */
const row = <const S extends number>(status: S, diagnosis: Hint['diagnosis'], meaning: string) =>
  ({ status, diagnosis, meaning }) as const;

/** Every reason to refuse a request, or, in report mode, to count it as one that would be refused. */
export const REASONS = {
  bad_request: row(400, 'gate-rule', 'the request breaks a rule that keeps servers from reading it differently'),
  header_too_large: row(431, 'large-head', `the head is larger than limits.maxHeader, or has over ${MAX_LINES} lines`),
  header_timeout: row(408, 'slow-request', 'the head did not come in limits.headersTimeout, or made room'),
  route_rejected: row(404, 'other-address', 'the path is rejected: the action of the route, or unmatched, is reject'),
  method_not_allowed: row(405, 'other-address', 'the route does not allow the method'),
  no_live_secret: row(503, 'no-live-secret', 'a route has nothing to verify with: none of its secrets is live'),
  missing_signature: row(401, 'no-signature', 'there is no signature header'),
  multiple_signatures: row(401, 'signature-form', 'there is more than one signature header, or a look-alike of it'),
  malformed_signature: row(401, 'signature-form', 'the header is not SHA256: and the base64 text of 32 bytes'),
  unsupported_algorithm: row(401, 'signature-form', 'the header names an algorithm other than SHA256'),
  body_too_large: row(413, 'large-body', "the body is larger than the route's maxBody"),
  overloaded: row(503, 'proxy-full', 'the proxy was full (bytes, connections, queue), stopped, or waited for once'),
  body_timeout: row(408, 'slow-request', 'the body did not come in limits.bodyTimeout, paused too long, or made room'),
  signature_mismatch: row(
    401,
    'another-secret',
    'it is signed with another secret than the ones here, or its body was changed in front of the proxy, or a forger sent it',
  ),
  expired_secret: row(401, 'expired-secret', 'it is signed with a secret that has ended, or has not begun'),
  loop_detected: row(508, 'upstream-loop', 'this proxy sent it: upstream.url leads back here'),
  /** Logged and counted, never sent. */
  client_closed: row(499, 'front-leaves', 'the client left before the answer'),
} as const;

export type Reason = keyof typeof REASONS;

export const UPSTREAM_FAILURES = ['connect', 'timeout', 'reset', 'protocol'] as const;
export type UpstreamFailure = (typeof UPSTREAM_FAILURES)[number];

/** Besides the reasons with 401, those for which report mode forwards a request instead of refusing it. */
const REPORTABLE: ReadonlySet<string> = new Set<Reason>(['method_not_allowed', 'no_live_secret']);

export const isReportable = (reason: Reason) => REASONS[reason].status === 401 || REPORTABLE.has(reason);

export const REASON_NAMES = Object.keys(REASONS) as readonly Reason[];

export const DECISIONS = ['accepted', 'rejected', 'reported', 'forwarded', 'duplicate', 'deferred', 'probe'] as const;
export type Decision = (typeof DECISIONS)[number];

/** Reasons to refuse a request that occur only before its route is known. */
const UNROUTED: readonly Reason[] = ['header_too_large', 'header_timeout', 'loop_detected'];

type DecisionRow = readonly [isPossible: boolean, decision: Decision, reasons: readonly (Reason | 'none')[]];

/**
 * Every decision, with its reason, that a request on a route can get. Each pair has a metric series that starts at 0; a
 * pair that is missing here is not counted. Heads that a rule other than `query` refuses are counted on `unmatched`.
 */
export function possibleDecisions(
  route: Pick<Route, 'path' | 'action' | 'mode' | 'once' | 'redeliver'>,
): readonly (readonly [Decision, Reason | 'none'])[] {
  const [forwards, verifies] = [route.action === 'forward', route.action === 'verify'];
  const ofVerify = REASON_NAMES.filter((reason) => reason !== 'route_rejected' && !UNROUTED.includes(reason));
  const rows: readonly DecisionRow[] = [
    [route.path === UNMATCHED, 'rejected', ['bad_request', ...UNROUTED, 'client_closed']],
    [route.action === 'reject', 'rejected', ['route_rejected']],
    [forwards, 'forwarded', ['none', 'client_closed']],
    [forwards, 'rejected', ['bad_request', 'method_not_allowed', 'overloaded', 'body_timeout']],
    [verifies, 'accepted', ['none', 'client_closed']],
    [verifies, 'probe', ['none', 'client_closed']],
    [verifies, 'rejected', ofVerify],
    [verifies && route.mode === 'report', 'reported', ['client_closed', ...REASON_NAMES.filter(isReportable)]],
    [verifies && route.once !== null, 'duplicate', ['none']],
    [verifies && route.redeliver !== null, 'deferred', ['none']],
  ];
  const possible = rows.flatMap(([isPossible, decision, reasons]) =>
    isPossible ? reasons.map((reason) => [decision, reason] as const) : [],
  );
  return [...new Map(possible.map((pair) => [pair.join('/'), pair])).values()];
}
