// The one table of decisions and reasons, and of every answer of our own, on both ports. Metric label and log field follow
// from it; downstream/reply.ts frames and sends the answers; tests fail until docs and dashboard name a new row.
// `possibleDecisions` says which routes have it, request-diagnosis.ts what is wrong then.
import { MAX_LINES } from './header-lines.ts';
import { type Route, UNMATCHED } from './routes.ts';
import { SIGNATURE_HEADER } from './signature.ts';

/** The statuses of our own answers, and their phrases (RFC 9110 15). Node's own table would cost 35 ms and 15 MiB at start. */
export const PHRASES = {
  200: 'OK',
  202: 'Accepted',
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  405: 'Method Not Allowed',
  408: 'Request Timeout',
  409: 'Conflict',
  413: 'Content Too Large',
  431: 'Request Header Fields Too Large',
  500: 'Internal Server Error',
  502: 'Bad Gateway',
  503: 'Service Unavailable',
  504: 'Gateway Timeout',
} as const;
export type OwnStatus = keyof typeof PHRASES;

/** `reportable`: `mode: report` forwards instead of refusing. */
type Row = readonly [status: OwnStatus | 499, meaning: string, reportable?: 'reportable'];

/** Every reason to refuse a request, or, in report mode, to count it as one that would be refused. */
const ROWS = {
  bad_request: [400, 'Servers disagree on how to read the request: framing, target, Host or another header.'],
  header_too_large: [431, `The request head is larger than limits.maxHeader, or has more than ${MAX_LINES} lines.`],
  header_timeout: [408, 'The request head exceeded limits.headersTimeout, or it made room for a connection.'],
  route_rejected: [404, 'The action of the route, or unmatched, is reject.'],
  method_not_allowed: [405, 'The route does not allow this method.', 'reportable'],
  no_live_secret: [503, 'The route has no live secret to verify with: the operator must add one.', 'reportable'],
  missing_signature: [401, `There is no ${SIGNATURE_HEADER} header.`, 'reportable'],
  multiple_signatures: [401, 'There is more than one signature header, or a look-alike of it.', 'reportable'],
  malformed_signature: [401, 'The signature header is not SHA256:<base64 of 32 bytes>.', 'reportable'],
  unsupported_algorithm: [401, 'The signature names an algorithm other than SHA256.', 'reportable'],
  body_too_large: [413, 'The body is larger than maxBody.'],
  overloaded: [
    503,
    'Byte budget, upstream connections or queue are full, the proxy stops, or once has no store or waits.',
  ],
  body_timeout: [408, 'The body exceeded limits.bodyTimeout or, in a pause, idleTimeout; or it made room.'],
  signature_mismatch: [401, 'No live secret of the route produces this signature.', 'reportable'],
  expired_secret: [401, 'Only a secret that has expired or is not valid yet produces this signature.', 'reportable'],
  /** 499 is only logged. */
  client_closed: [499, 'The client left before the answer.'],
} as const satisfies Record<string, Row>;

export type Reason = keyof typeof ROWS;

export const REASONS = Object.fromEntries(
  Object.entries<Row>(ROWS).map(([name, [status, meaning, flag]]) => [
    name,
    { status, meaning, reportable: flag !== undefined },
  ]),
) as Readonly<Record<Reason, { status: Row[0]; meaning: string; reportable: boolean }>>;
export const REASON_NAMES = Object.keys(REASONS) as readonly Reason[];

/** The answer to a request that is not forwarded, or to which the client gets no response of the upstream. */
export interface OwnAnswer {
  readonly status: OwnStatus;
  /** Constant JSON. */
  readonly body: string;
  /** True if it ends the connection: the next request's start is unknown, or a retry should reach another pod. */
  readonly closes: boolean;
  /** Seconds after which the sender should try again; null if the answer has no `Retry-After`. */
  readonly retryAfter: number | null;
}

const CLOSING: ReadonlySet<number> = new Set([400, 408, 431, 502, 503, 504]);

function answerOf(name: string, status: OwnStatus): OwnAnswer {
  // A 401 never reveals which check failed (Entrupy's example receiver does the same).
  const error = status === 401 ? 'unauthorized' : name;
  const body = status < 300 ? `{"status":"${name}"}` : `{"error":"${error}"}`;
  return { status, body, closes: CLOSING.has(status), retryAfter: status === 503 ? 1 : null };
}

const { client_closed: _unanswered, ...REFUSALS } = ROWS;
const STATUSES = {
  ...REFUSALS,
  // The upstream fails before its response begins.
  bad_gateway: [502],
  gateway_timeout: [504],
  /** An event that was delivered already. */
  duplicate: [200],
  /** A delivery that the app did not take, once it is stored. */
  deferred: [202],
} as const;

export const ANSWERS = Object.fromEntries(
  Object.entries(STATUSES).map(([name, [status]]) => [name, answerOf(name, status)]),
) as Readonly<Record<keyof typeof STATUSES, OwnAnswer>>;

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
