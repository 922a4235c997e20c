// The proxy's own answers to requests, and the status phrases for responses on the proxy's and the admin port. The
// statuses of refusals are in reasons.ts; downstream/reply.ts sends the answers.
import { REASONS } from './reasons.ts';
import { headLines } from './sent-head.ts';

/** The phrases of our own statuses (RFC 9110 15). Loading Node's table costs 35 ms and 15 MiB (nodejs/node#57649). */
const PHRASES = {
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
  508: 'Loop Detected',
} as const;
export type OwnStatus = keyof typeof PHRASES;

/** The answers that are not in reasons.ts. */
const OTHERS = {
  // These two are for an upstream that fails before its response begins.
  bad_gateway: { status: 502 },
  gateway_timeout: { status: 504 },
  /** For an event that was already delivered (`once`). */
  duplicate: { status: 200 },
  /** For a delivery that the app did not take, after it has been stored. */
  deferred: { status: 202 },
} as const;

/** The answer to a request that is not forwarded, or whose client gets no response from the upstream. */
export interface OwnAnswer {
  readonly status: OwnStatus;
  /** The status line and all lines but `Connection`, which downstream/reply.ts adds: made once, not for each refusal. */
  readonly head: string;
  /** One character per byte. */
  readonly body: string;
  /** True if it closes the connection: the next request's start is unknown, or a retry should reach another pod. */
  readonly closes: boolean;
}

const CLOSING: ReadonlySet<number> = new Set([400, 408, 431, 502, 503, 504, 508]);
const JSON_TYPE = ['Content-Type', 'application/json'];

/** `lines`: flat; the length of the body is added. */
export function ownAnswer(status: OwnStatus, body: string, lines: readonly string[]): OwnAnswer {
  const head = `HTTP/1.1 ${status} ${PHRASES[status]}${headLines(lines, `Content-Length: ${body.length}`)}`;
  return { status, head, body, closes: CLOSING.has(status) };
}

function answerOf(name: string, status: OwnStatus): OwnAnswer {
  // A 401 never reveals which check failed (Entrupy's example receiver does the same).
  const error = status === 401 ? 'unauthorized' : name;
  const body = status < 300 ? `{"status":"${name}"}` : `{"error":"${error}"}`;
  return ownAnswer(status, body, status === 503 ? [...JSON_TYPE, 'Retry-After', '1'] : JSON_TYPE);
}

const { client_closed: _, ...refusals } = REASONS;

export const ANSWERS = Object.fromEntries(
  Object.entries({ ...refusals, ...OTHERS }).map(([name, { status }]) => [name, answerOf(name, status)]),
) as Readonly<Record<keyof typeof refusals | keyof typeof OTHERS, OwnAnswer>>;

/** The 405, with the methods that the route allows (RFC 9110 15.5.6). */
export const notAllowed = (methods: readonly string[]): OwnAnswer =>
  ownAnswer(405, ANSWERS.method_not_allowed.body, [...JSON_TYPE, 'Allow', methods.join(', ')]);
