// The product's own answers, as bytes: constant JSON, made once each. Nothing that a client sent comes back in one.
import { Buffer } from 'node:buffer';
import { STATUS_CODES } from 'node:http';
import type { Reason } from '../../src/core/decision.ts';
import { type Answer, BAD_GATEWAY, GATEWAY_TIMEOUT, refusal as refusalOfProduct } from '../../src/http/respond.ts';

interface Shape {
  readonly closes: boolean;
  /** The answer to HEAD. */
  readonly headOnly: boolean;
}

const made = new Map<string, Buffer>();

/** `allow`: the methods of the route, for 405. */
export function refusal(reason: Reason, allow: readonly string[] | null, shape: Shape): Buffer {
  return bytesOf(refusalOfProduct(reason, allow), shape);
}

export function upstreamFailed(status: 502 | 504, shape: Shape): Buffer {
  return bytesOf(status === 502 ? BAD_GATEWAY : GATEWAY_TIMEOUT, shape);
}

function bytesOf({ status, body, headers = [] }: Answer, { closes, headOnly }: Shape): Buffer {
  const key = `${status} ${body} ${closes} ${headOnly} ${headers}`;
  let bytes = made.get(key);
  if (bytes === undefined) {
    const head = [
      `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
      'Content-Type: application/json',
      `Content-Length: ${body.length}`,
      ...headers.flatMap((name, index) => (index % 2 === 0 ? [`${name}: ${headers[index + 1]}`] : [])),
      ...(closes ? ['Connection: close'] : []),
    ];
    bytes = Buffer.from(`${head.join('\r\n')}\r\n\r\n${headOnly ? '' : body}`, 'latin1');
    made.set(key, bytes);
  }
  return bytes;
}
