// Answers that are ours, as bytes: constant JSON, made once each. Nothing that a client sent comes back in one.
import { Buffer } from 'node:buffer';
import { STATUS_CODES } from 'node:http';
import { REASONS, type Reason, refusalBody } from '../../src/core/decision.ts';

interface Shape {
  readonly closes: boolean;
  /** The answer to HEAD. */
  readonly headOnly: boolean;
}

const made = new Map<string, Buffer>();

/** `allow`: the methods of the route, for 405. */
export function refusal(reason: Reason, allow: readonly string[] | null, shape: Shape): Buffer {
  const { status, retryable } = REASONS[reason];
  const lines = [
    ...(retryable ? ['Retry-After: 1'] : []),
    ...(status === 405 ? [`Allow: ${(allow ?? []).join(', ')}`] : []),
  ];
  return answer(status, refusalBody(reason), { ...shape, lines });
}

export function upstreamFailed(status: 502 | 504, shape: Shape): Buffer {
  return answer(status, `{"error":"${status === 502 ? 'bad_gateway' : 'gateway_timeout'}"}`, { ...shape, lines: [] });
}

function answer(status: number, body: string, { closes, headOnly, lines }: Shape & { lines: readonly string[] }) {
  const key = `${status} ${body} ${closes} ${headOnly} ${lines}`;
  let bytes = made.get(key);
  if (bytes === undefined) {
    const head = [
      `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
      'Content-Type: application/json',
      `Content-Length: ${body.length}`,
      ...lines,
      ...(closes ? ['Connection: close'] : []),
    ];
    bytes = Buffer.from(`${head.join('\r\n')}\r\n\r\n${headOnly ? '' : body}`, 'latin1');
    made.set(key, bytes);
  }
  return bytes;
}
