// Decisions and reasons. Metric label and log field follow from this table, the status from answers.ts; tests fail until
// docs and dashboard name a new row. `possibleDecisions` says which routes have it, request-diagnosis.ts what is wrong then.
import { ANSWERS, type OwnStatus } from './answers.ts';
import { MAX_LINES } from './header-lines.ts';
import { type Route, UNMATCHED } from './routes.ts';
import { SIGNATURE_HEADER } from './signature.ts';

/** `reportable`: `mode: report` forwards instead of refusing. */
type Row = readonly [meaning: string, reportable?: 'reportable'];

/** Every reason to refuse a request, or, in report mode, to count it as one that would be refused. */
const ROWS = {
  bad_request: ['Servers disagree on how to read the request: framing, target, Host or another header.'],
  header_too_large: [`The request head is larger than limits.maxHeader, or has more than ${MAX_LINES} lines.`],
  header_timeout: ['The request head exceeded limits.headersTimeout, or it made room for a connection.'],
  route_rejected: ['The action of the route, or unmatched, is reject.'],
  method_not_allowed: ['The route does not allow this method.', 'reportable'],
  no_live_secret: ['The route has no live secret to verify with: the operator must add one.', 'reportable'],
  missing_signature: [`There is no ${SIGNATURE_HEADER} header.`, 'reportable'],
  multiple_signatures: ['There is more than one signature header, or a look-alike of it.', 'reportable'],
  malformed_signature: ['The signature header is not SHA256:<base64 of 32 bytes>.', 'reportable'],
  unsupported_algorithm: ['The signature names an algorithm other than SHA256.', 'reportable'],
  body_too_large: ['The body is larger than maxBody.'],
  overloaded: ['Byte budget, upstream connections or queue are full, the proxy stops, or once has no store or waits.'],
  body_timeout: ['The body exceeded limits.bodyTimeout or, in a pause, idleTimeout; or it made room.'],
  signature_mismatch: ['No live secret of the route produces this signature.', 'reportable'],
  expired_secret: ['Only a secret that has expired or is not valid yet produces this signature.', 'reportable'],
  client_closed: ['The client left before the answer.'],
} as const satisfies Record<string, Row>;

export type Reason = keyof typeof ROWS;

/** 499 is only logged. */
const STATUSES: Readonly<Record<Reason, { status: OwnStatus | 499 }>> = { ...ANSWERS, client_closed: { status: 499 } };

export const REASONS = Object.fromEntries(
  Object.entries<Row>(ROWS).map(([name, [meaning, flag]]) => [
    name,
    { status: STATUSES[name as Reason].status, meaning, reportable: flag !== undefined },
  ]),
) as Readonly<Record<Reason, { status: OwnStatus | 499; meaning: string; reportable: boolean }>>;
export const REASON_NAMES = Object.keys(REASONS) as readonly Reason[];

export const DECISIONS = ['accepted', 'rejected', 'reported', 'forwarded', 'duplicate', 'deferred', 'probe'] as const;
export type Decision = (typeof DECISIONS)[number];

type DecisionAndReason = readonly [Decision, Reason | 'none'];
type Outcomes = readonly [isPossible: boolean, decision: Decision, reasons: readonly (Reason | 'none')[]];

/**
 * Every decision that a request on a route can get: the metric series that exist from the start with 0. One that
 * is missing here is not counted. `unmatched` also counts the heads that a rule other than `query` refuses.
 */
export function possibleDecisions(
  route: Pick<Route, 'path' | 'action' | 'mode' | 'once' | 'redeliver'>,
): readonly DecisionAndReason[] {
  const [forwards, verifies] = [route.action === 'forward', route.action === 'verify'];
  const before: readonly Reason[] = ['header_too_large', 'header_timeout', 'route_rejected'];
  const reportable = REASON_NAMES.filter((reason) => REASONS[reason].reportable);
  const rows: readonly Outcomes[] = [
    [route.path === UNMATCHED, 'rejected', ['bad_request', 'header_too_large', 'header_timeout', 'client_closed']],
    [route.action === 'reject', 'rejected', ['route_rejected']],
    [forwards, 'forwarded', ['none', 'client_closed']],
    [forwards, 'rejected', ['bad_request', 'method_not_allowed', 'overloaded', 'body_timeout']],
    [verifies, 'accepted', ['none', 'client_closed']],
    [verifies, 'probe', ['none', 'client_closed']],
    [verifies, 'rejected', REASON_NAMES.filter((reason) => !before.includes(reason))],
    [verifies && route.mode === 'report', 'reported', ['client_closed', ...reportable]],
    [verifies && route.once !== null, 'duplicate', ['none']],
    [verifies && route.redeliver !== null, 'deferred', ['none']],
  ];
  const possible = rows.flatMap(([isPossible, decision, reasons]) =>
    isPossible ? reasons.map((reason) => [decision, reason] as const) : [],
  );
  return [...new Map(possible.map((pair) => [pair.join('/'), pair])).values()];
}
