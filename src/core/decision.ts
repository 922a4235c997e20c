// The one table of decisions and reasons. Status, body, metric label and log field follow from it; tests fail until
// docs and dashboard name a new row. `possibleDecisions` says which routes have it, `advice.ts` what to do about it.
import { MAX_LINES } from './header-lines.ts';
import { type Route, UNMATCHED } from './routes.ts';
import { SIGNATURE_HEADER } from './signature.ts';

/** The statuses of our own answers, on both ports. */
export type OwnStatus = 200 | 202 | 400 | 401 | 403 | 404 | 405 | 408 | 413 | 431 | 500 | 502 | 503 | 504;

/** The answer to a request that is not forwarded, or to which the upstream gives no response. */
export interface Refusal {
  readonly status: OwnStatus;
  /** Constant JSON. */
  readonly body: string;
  /**
   * True if the answer closes the connection: the start of the next request is unknown, or a balancer's retry should
   * reach another pod.
   */
  readonly closes: boolean;
  /** True if the sender should retry: the answer has `Retry-After`. */
  readonly retryable: boolean;
}

interface ReasonRow extends Omit<Refusal, 'status'> {
  /** 499 is only logged: the client has departed. */
  readonly status: OwnStatus | 499;
  /** True if `mode: report` forwards instead of refusing. */
  readonly reportable: boolean;
  /** One sentence for people: status page, docs, dashboard. */
  readonly meaning: string;
}

type Row = readonly [status: ReasonRow['status'], meaning: string, flags?: Partial<ReasonRow>];

const REPORTABLE = { reportable: true };
const CLOSES = { closes: true };
const TRY_ELSEWHERE = { closes: true, retryable: true };

/** Every reason to refuse a request, or, in report mode, to count it as one that would be refused. */
const ROWS = {
  bad_request: [400, 'Servers disagree on how to read the request: framing, target, Host or another header.', CLOSES],
  header_too_large: [
    431,
    `The request head is larger than limits.maxHeader, or has more than ${MAX_LINES} lines.`,
    CLOSES,
  ],
  header_timeout: [408, 'The request head exceeded limits.headersTimeout, or it made room for a connection.', CLOSES],
  route_rejected: [404, 'The action of the route, or unmatched, is reject.'],
  method_not_allowed: [405, 'The route does not allow this method.', REPORTABLE],
  no_live_secret: [
    503,
    'The route has no live secret to verify with: the operator must add one.',
    { ...TRY_ELSEWHERE, reportable: true },
  ],
  missing_signature: [401, `There is no ${SIGNATURE_HEADER} header.`, REPORTABLE],
  multiple_signatures: [401, 'There is more than one signature header, or a look-alike of it.', REPORTABLE],
  malformed_signature: [401, 'The signature header is not SHA256:<base64 of 32 bytes>.', REPORTABLE],
  unsupported_algorithm: [401, 'The signature names an algorithm other than SHA256.', REPORTABLE],
  body_too_large: [413, 'The body is larger than maxBody.'],
  overloaded: [
    503,
    'Byte budget, upstream connections or queue are full, the proxy stops, or once has no store or waits.',
    TRY_ELSEWHERE,
  ],
  body_timeout: [408, 'The body exceeded limits.bodyTimeout or, in a pause, idleTimeout; or it made room.', CLOSES],
  signature_mismatch: [401, 'No live secret of the route produces this signature.', REPORTABLE],
  expired_secret: [401, 'Only a secret that has expired or is not valid yet produces this signature.', REPORTABLE],
  client_closed: [499, 'The client left before the answer.', CLOSES],
} as const satisfies Record<string, Row>;

export type Reason = keyof typeof ROWS;

function expanded(name: string, [status, meaning, flags]: Row): ReasonRow {
  // A 401 never reveals which check failed (Entrupy's example receiver does the same).
  const body = `{"error":"${status === 401 ? 'unauthorized' : name}"}`;
  return { status, body, meaning, reportable: false, retryable: false, closes: false, ...flags };
}

export const REASONS = Object.fromEntries(Object.entries(ROWS).map(([name, row]) => [name, expanded(name, row)])) as {
  readonly [R in Reason]: ReasonRow & { readonly status: (typeof ROWS)[R][0] };
};
export const REASON_NAMES = Object.keys(REASONS) as readonly Reason[];

export const DECISIONS = ['accepted', 'rejected', 'reported', 'forwarded', 'duplicate', 'deferred'] as const;
export type Decision = (typeof DECISIONS)[number];

/** The answers if the upstream fails before its response begins. */
export const GATEWAY_ANSWERS = {
  bad_gateway: { status: 502, body: '{"error":"bad_gateway"}', closes: true, retryable: false },
  gateway_timeout: { status: 504, body: '{"error":"gateway_timeout"}', closes: true, retryable: false },
} as const satisfies Record<string, Refusal>;

/** The answer to an event that was already delivered. */
export const DUPLICATE: Refusal = { status: 200, body: '{"status":"duplicate"}', closes: false, retryable: false };

/** The answer to a delivery that the app did not take, once it is stored. */
export const DEFERRED: Refusal = { status: 202, body: '{"status":"deferred"}', closes: false, retryable: false };

/** True for a status with which the app has not taken a delivery, so that it is worth sending again. */
export function isNotTaken(status: number): boolean {
  return status >= 500 || status === 408 || status === 425 || status === 429;
}

type DecisionAndReason = readonly [Decision, Reason | 'none'];

/**
 * Every decision that a request on a route can get: the metric series that exist from the start with 0. One that
 * is missing here is not counted. `unmatched` also counts the heads that a rule other than `query` refuses.
 */
export function possibleDecisions(
  route: Pick<Route, 'path' | 'action' | 'mode' | 'once' | 'redeliver'>,
): readonly DecisionAndReason[] {
  const possible = new Map<string, DecisionAndReason>();
  const add = (decision: Decision, ...reasons: (Reason | 'none')[]) => {
    for (const reason of reasons) possible.set(`${decision}/${reason}`, [decision, reason]);
  };
  if (route.path === UNMATCHED) add('rejected', 'bad_request', 'header_too_large', 'header_timeout', 'client_closed');
  if (route.action === 'reject') add('rejected', 'route_rejected');
  if (route.action === 'forward') {
    add('forwarded', 'none', 'client_closed');
    add('rejected', 'bad_request', 'method_not_allowed', 'overloaded', 'body_timeout');
  }
  if (route.action === 'verify') {
    const before: readonly Reason[] = ['header_too_large', 'header_timeout', 'route_rejected'];
    add('accepted', 'none', 'client_closed');
    add('rejected', ...REASON_NAMES.filter((reason) => !before.includes(reason)));
    if (route.mode === 'report')
      add('reported', 'client_closed', ...REASON_NAMES.filter((reason) => REASONS[reason].reportable));
    if (route.once !== null) add('duplicate', 'none');
    if (route.redeliver !== null) add('deferred', 'none');
  }
  return [...possible.values()];
}
