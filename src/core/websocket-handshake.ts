// How a WebSocket handshake is recognised, checked and written. `headLines` writes all other requests.
import { createHash } from 'node:crypto';
import { endToEnd, linesOf, nominated, valuesOf } from './header-lines.ts';
import { type Head, hasBody } from './request-head.ts';

/**
 * True for a WebSocket's opening handshake (RFC 6455 4.1): GET, HTTP/1.1, exactly `websocket` (any case), no framing
 * line and no Expect. No other upgrade may pass (h2c above all): nothing in a tunnel is verified. A body would be
 * smuggling: servers differ in whether they read it or take it for the tunnel's first bytes.
 */
export function asksForWebSocket(head: Head): boolean {
  return (
    head.method === 'GET' &&
    head.version === '1.1' &&
    head.upgrade?.toLowerCase() === 'websocket' &&
    nominated(head.connection).includes('upgrade') &&
    head.contentLengths === 0 &&
    !hasBody(head) &&
    head.expect === null
  );
}

/** A handshake's headers in node's form: the end-to-end lines by name, and the two hop-by-hop lines of the upgrade. */
export function webSocketHeaders(all: readonly string[], upgrade: string): Record<string, string | string[]> {
  const byName = new Map<string, [spelling: string, value: string | string[]]>();
  for (const [name, value] of linesOf(endToEnd(all))) {
    const known = byName.get(name.toLowerCase());
    if (known === undefined) byName.set(name.toLowerCase(), [name, value]);
    else known[1] = [known[1], value].flat();
  }
  return Object.fromEntries([...byName.values(), ['connection', 'Upgrade'], ['upgrade', upgrade]]);
}

/** The text that every server appends to a handshake's key (RFC 6455 1.3). */
const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';

/**
 * The answer to the handshake with the lines `asked`: `accepted` begins a tunnel (RFC 6455 4.2.2), `refused` is a final
 * response, which is forwarded. `invalid`: a 101 that accepts another handshake or none, or another interim response.
 */
export function readWebSocketAnswer(
  asked: readonly string[],
  status: number,
  lines: readonly string[],
): 'accepted' | 'refused' | 'invalid' {
  if (status >= 200) return 'refused';
  return status === 101 && accepts(asked, lines) ? 'accepted' : 'invalid';
}

function accepts(asked: readonly string[], lines: readonly string[]): boolean {
  const [key = ''] = valuesOf(asked, 'sec-websocket-key');
  const accept = createHash('sha1').update(`${key}${GUID}`, 'latin1').digest('base64');
  // Repeated lines are joined with a comma, and then do not match.
  const isWebSocket = valuesOf(lines, 'upgrade').join().toLowerCase() === 'websocket';
  return isWebSocket && valuesOf(lines, 'sec-websocket-accept').join() === accept;
}
