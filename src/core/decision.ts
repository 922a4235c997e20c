// The one table of decisions and reasons. Status, body, metric label, log field, docs and dashboard follow from it;
// a new row here is the whole change, and the tests fail until each of those names it.

/** Where in a request's life a reason can arise; what is refused before routing carries the label `unmatched`. */
export type Stage = 'gate' | 'route' | 'signature' | 'body' | 'verdict' | 'end';

interface ReasonRow {
  readonly stage: Stage;
  /** The HTTP status of the answer; 499 is for the log alone, nobody is there to read it. */
  readonly status: number;
  /** True where `mode: report` forwards instead of refusing. */
  readonly reportable: boolean;
  /** True where the sender should try again: the answer carries `Retry-After`. */
  readonly retryable: boolean;
  /** One sentence for people: status page, docs, `explain`. */
  readonly meaning: string;
}

function row(
  stage: Stage,
  status: number,
  meaning: string,
  flags: { reportable?: true; retryable?: true } = {},
): ReasonRow {
  return { stage, status, meaning, reportable: flags.reportable === true, retryable: flags.retryable === true };
}

const REPORTABLE = { reportable: true } as const;

/** Every reason for which a request may not be forwarded, or, in report mode, would not have been. */
export const REASONS = {
  bad_request: row('gate', 400, 'The framing, target, Host or a header is one that servers read differently.'),
  header_too_large: row('gate', 431, 'The request head is larger than limits.maxHeader.'),
  header_timeout: row('gate', 408, 'The request head did not arrive within limits.headersTimeout.'),
  route_rejected: row('route', 404, 'The route, or unmatched, says reject.'),
  method_not_allowed: row('route', 405, 'The route does not take this method.', REPORTABLE),
  no_live_secret: row('route', 503, 'The route has no live secret to verify with: the fault of the operator.', {
    reportable: true,
    retryable: true,
  }),
  missing_signature: row('signature', 401, 'There is no Entrupy-Signature header.', REPORTABLE),
  multiple_signatures: row(
    'signature',
    401,
    'There is more than one signature header, or a look-alike of it.',
    REPORTABLE,
  ),
  malformed_signature: row('signature', 401, 'The signature header is not SHA256:<base64 of 32 bytes>.', REPORTABLE),
  unsupported_algorithm: row('signature', 401, 'The signature names another algorithm than SHA256.', REPORTABLE),
  body_too_large: row('body', 413, 'The body is larger than maxBody.'),
  overloaded: row('body', 503, 'The byte budget, the upstream slots or the waiting queue are used up.', {
    retryable: true,
  }),
  body_timeout: row(
    'body',
    408,
    'The body did not arrive within limits.bodyTimeout, or, on a forward route, stopped for idleTimeout.',
  ),
  signature_mismatch: row('verdict', 401, 'No live secret of the route signs this body so.', REPORTABLE),
  expired_secret: row('verdict', 401, 'Only a secret outside its validity signs this body so.', REPORTABLE),
  client_closed: row('end', 499, 'The client left before the answer.'),
} as const satisfies Record<string, ReasonRow>;

export type Reason = keyof typeof REASONS;
export const REASON_NAMES = Object.keys(REASONS) as readonly Reason[];

export type Decision = 'accepted' | 'rejected' | 'reported' | 'forwarded' | 'duplicate';
export const DECISIONS: readonly Decision[] = ['accepted', 'rejected', 'reported', 'forwarded', 'duplicate'];

/** A reason that `mode: report` lets through. */
export type ReportableReason = {
  [R in Reason]: (typeof REASONS)[R]['reportable'] extends true ? R : never;
}[Reason];

/** True where `mode: report` forwards a request that has this reason. */
export function isReportable(reason: Reason): boolean {
  return REASONS[reason].reportable;
}

/** The constant JSON body of a refusal: a 401 never tells which check failed (Entrupy's example receiver does the same). */
export function refusalBody(reason: Reason): string {
  return REASONS[reason].status === 401 ? '{"error":"unauthorized"}' : `{"error":"${reason}"}`;
}

/** What a route is, as far as its possible outcomes go. */
export interface OutcomeShape {
  readonly action: 'verify' | 'forward' | 'reject';
  readonly report: boolean;
  readonly once: boolean;
  /** True for the label `unmatched`, which also counts what is refused before routing. */
  readonly unmatched: boolean;
}

/** Each (decision, reason) that a route of this shape can end in: the metric series that exist from the start with 0. */
export function possibleOutcomes(shape: OutcomeShape): readonly (readonly [Decision, Reason | 'none'])[] {
  const outcomes = new Map<string, readonly [Decision, Reason | 'none']>();
  const add = (decision: Decision, ...reasons: (Reason | 'none')[]) => {
    for (const reason of reasons) outcomes.set(`${decision}/${reason}`, [decision, reason]);
  };
  if (shape.unmatched) add('rejected', 'bad_request', 'header_too_large', 'header_timeout', 'client_closed');
  if (shape.action === 'reject') add('rejected', 'route_rejected');
  if (shape.action === 'forward') {
    add('forwarded', 'none', 'client_closed');
    add('rejected', 'bad_request', 'method_not_allowed', 'overloaded', 'body_timeout');
  }
  if (shape.action === 'verify') {
    const before: readonly Reason[] = ['header_too_large', 'header_timeout', 'route_rejected'];
    add('accepted', 'none', 'client_closed');
    add('rejected', ...REASON_NAMES.filter((reason) => !before.includes(reason)));
    if (shape.report) add('reported', 'client_closed', ...REASON_NAMES.filter(isReportable));
    if (shape.once) add('duplicate', 'none');
  }
  return [...outcomes.values()];
}
