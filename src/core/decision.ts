// The one table of decisions and reasons. Status, body, metric label, log field, docs and dashboard follow from it;
// a new row here is the whole change, and the tests fail until each of those names it.

/** Where in a request's life a reason can arise; what is refused before routing carries the label `unmatched`. */
export type Stage = 'gate' | 'route' | 'signature' | 'body' | 'verdict' | 'end';

/** What the client is answered where a request is not forwarded, or nothing comes back. */
export interface Refusal {
  /** The HTTP status of the answer; 499 is for the log alone, nobody is there to read it. */
  readonly status: number;
  /** Constant JSON. */
  readonly body: string;
  /**
   * True where the connection ends with the answer: nobody knows where the next request begins, or a balancer's next try
   * should reach another pod.
   */
  readonly closes: boolean;
  /** True where the sender should try again: the answer carries `Retry-After`. */
  readonly retryable: boolean;
}

interface ReasonRow extends Refusal {
  readonly stage: Stage;
  /** True where `mode: report` forwards instead of refusing. */
  readonly reportable: boolean;
  /** One sentence for people: status page, docs, `explain`. */
  readonly meaning: string;
}

interface Flags {
  readonly reportable?: true;
  readonly retryable?: true;
  readonly closes?: true;
  /** True for a 401, which never tells which check failed (Entrupy's example receiver does the same). */
  readonly secretive?: true;
}

type Row = readonly [stage: Stage, status: number, meaning: string, flags: Flags];

const REPORTABLE = { reportable: true } as const;
const UNAUTHORIZED = { reportable: true, secretive: true } as const;
const CLOSES = { closes: true } as const;

/** Every reason for which a request may not be forwarded, or, in report mode, would not have been. */
const ROWS = {
  bad_request: ['gate', 400, 'The framing, target, Host or a header is one that servers read differently.', CLOSES],
  header_too_large: ['gate', 431, 'The request head is larger than limits.maxHeader.', CLOSES],
  header_timeout: ['gate', 408, 'The request head did not arrive within limits.headersTimeout.', CLOSES],
  route_rejected: ['route', 404, 'The route, or unmatched, says reject.', {}],
  method_not_allowed: ['route', 405, 'The route does not take this method.', REPORTABLE],
  no_live_secret: [
    'route',
    503,
    'The route has no live secret to verify with: the fault of the operator.',
    { reportable: true, retryable: true, closes: true },
  ],
  missing_signature: ['signature', 401, 'There is no Entrupy-Signature header.', UNAUTHORIZED],
  multiple_signatures: [
    'signature',
    401,
    'There is more than one signature header, or a look-alike of it.',
    UNAUTHORIZED,
  ],
  malformed_signature: ['signature', 401, 'The signature header is not SHA256:<base64 of 32 bytes>.', UNAUTHORIZED],
  unsupported_algorithm: ['signature', 401, 'The signature names another algorithm than SHA256.', UNAUTHORIZED],
  body_too_large: ['body', 413, 'The body is larger than maxBody.', {}],
  overloaded: [
    'body',
    503,
    'The byte budget, the upstream slots or the waiting queue are used up.',
    { retryable: true, closes: true },
  ],
  body_timeout: [
    'body',
    408,
    'The body did not arrive within limits.bodyTimeout, or, on a forward route, stopped for idleTimeout.',
    CLOSES,
  ],
  signature_mismatch: ['verdict', 401, 'No live secret of the route signs this body so.', UNAUTHORIZED],
  expired_secret: ['verdict', 401, 'Only a secret outside its validity signs this body so.', UNAUTHORIZED],
  client_closed: ['end', 499, 'The client left before the answer.', CLOSES],
} as const satisfies Record<string, Row>;

export type Reason = keyof typeof ROWS;

function expanded(name: string, [stage, status, meaning, flags]: Row): ReasonRow {
  const { reportable = false, retryable = false, closes = false, secretive = false } = flags;
  const body = `{"error":"${secretive ? 'unauthorized' : name}"}`;
  return { stage, status, meaning, reportable, retryable, closes, body };
}

export const REASONS = Object.fromEntries(
  Object.entries(ROWS).map(([name, row]) => [name, expanded(name, row)]),
) as Readonly<Record<Reason, ReasonRow>>;
export const REASON_NAMES = Object.keys(REASONS) as readonly Reason[];

export type Decision = 'accepted' | 'rejected' | 'reported' | 'forwarded' | 'duplicate';
export const DECISIONS: readonly Decision[] = ['accepted', 'rejected', 'reported', 'forwarded', 'duplicate'];

/** The answers where the upstream failed before its response began. */
export const UPSTREAM_FAULTS = {
  bad_gateway: { status: 502, body: '{"error":"bad_gateway"}', closes: true, retryable: false },
  gateway_timeout: { status: 504, body: '{"error":"gateway_timeout"}', closes: true, retryable: false },
} as const satisfies Record<string, Refusal>;

/** The answer to an event that was delivered before (spec §12). */
export const DUPLICATE: Refusal = { status: 200, body: '{"status":"duplicate"}', closes: false, retryable: false };

/** A reason that `mode: report` lets through. */
export type ReportableReason = {
  [R in Reason]: (typeof ROWS)[R][3] extends { readonly reportable: true } ? R : never;
}[Reason];

/** True where `mode: report` forwards a request that has this reason. */
export function isReportable(reason: Reason): boolean {
  return REASONS[reason].reportable;
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
