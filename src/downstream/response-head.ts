// The head of an answer as it goes to the client: the upstream's lines in their bytes, framed by us, and the lines of our
// own answers. reply.ts decides when it is sent, and whether the connection persists.
import type { OwnStatus, Refusal } from '../core/decision.ts';
import { CHUNKED, headLines } from '../wire/forwarded-lines.ts';
import type { ResponseHead } from '../wire/parser.ts';

const RETRY_AFTER_SECONDS = '1';

/** The interim response to a client that waits before it sends its body. */
export const CONTINUE = 'HTTP/1.1 100 Continue\r\n\r\n';

/** An interim response (1xx). */
export function interimHead(status: number, reason: string, lines: readonly string[]): string {
  return `${statusLine(status, reason)}${headLines(lines, null)}\r\n`;
}

/** The lines of the upstream's response, with our framing. */
export function framedLines(
  { status, lines, length }: ResponseHead,
  body: 'chunked' | 'until close' | 'whole',
): string {
  if (body === 'chunked') return headLines(lines, CHUNKED);
  // The length has no leading zeros, but stays text: 18446744073709551615 would become another number.
  // A 204 has none (RFC 9110 8.6).
  const none = body === 'until close' || length === '' || status === 204;
  return headLines(lines, none ? null : `Content-Length: ${length.replace(/^0+(?=\d)/, '')}`);
}

/** The lines of our own refusal. `allow`: the methods that the route allows, for 405. */
export function refusalLines({ retryable }: Refusal, allow: readonly string[] | null): readonly string[] {
  const lines = ['Content-Type', 'application/json'];
  if (retryable) lines.push('Retry-After', RETRY_AFTER_SECONDS);
  if (allow !== null) lines.push('Allow', allow.join(', '));
  return lines;
}

/**
 * A head whose lines are formatted. The last response on a connection says `close`. Others say nothing in HTTP/1.1, where
 * connections persist by default, and we add no line that the upstream did not send.
 */
export function responseHead(
  { status, reason }: Pick<ResponseHead, 'status' | 'reason'>,
  lines: string,
  connection: 'close' | 'keep-alive' | null,
): string {
  return `${statusLine(status, reason)}${lines}${connection === null ? '' : `Connection: ${connection}\r\n`}\r\n`;
}

/** Forwards a reason phrase byte for byte. One with control characters could end the line, so it becomes empty. */
function statusLine(status: number, reason: string): string {
  return `HTTP/1.1 ${status} ${/^[\t\x20-\x7e\x80-\xff]*$/.test(reason) ? reason : ''}\r\n`;
}

/** The phrases of our own answers (RFC 9110 15). Loading node:http for its table takes 35 ms and 15 MiB. */
export const PHRASES: Readonly<Record<OwnStatus, string>> = {
  200: 'OK',
  202: 'Accepted',
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  405: 'Method Not Allowed',
  408: 'Request Timeout',
  413: 'Content Too Large',
  431: 'Request Header Fields Too Large',
  500: 'Internal Server Error',
  502: 'Bad Gateway',
  503: 'Service Unavailable',
  504: 'Gateway Timeout',
};
