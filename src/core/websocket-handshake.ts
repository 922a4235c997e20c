// How a WebSocket handshake is recognised, and which response accepts it.
import { createHash } from 'node:crypto';
import { endToEnd, nominated, pairsOf, valuesOf } from './header-lines.ts';
import { type Head, hasBody } from './request-head.ts';

/**
 * True for a WebSocket's opening handshake (RFC 6455 4.1): GET, HTTP/1.1, an Upgrade to `websocket` alone (any
 * case), no framing line and no Expect. No other upgrade may pass (h2c above all), since nothing in a tunnel is
 * verified. A body could smuggle bytes: servers either read it or take it for the tunnel's first bytes.
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

/** The lines of a 101 by name, as http-proxy-3 writes them: the end-to-end ones, `Connection` and `Upgrade`. */
export function tunnelHeaders(lines: readonly string[]): Record<string, string | string[]> {
  // A 101 has no length (RFC 9110 8.6).
  const passed = pairsOf(endToEnd(lines)).filter(([name]) => name.toLowerCase() !== 'content-length');
  const byName = Map.groupBy(passed, ([name]) => name);
  const headers = Array.from(byName, ([name, all]) => [name, all.map(([, value]) => value)] as const);
  return { ...Object.fromEntries(headers), connection: 'Upgrade', upgrade: 'websocket' };
}

/** The text that every server appends to a handshake's key (RFC 6455 1.3). */
const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';

/** True if a 101 with the header `lines` accepts a handshake with the lines `requested` (RFC 6455 4.2.2). */
export function acceptsWebSocket(requested: readonly string[], lines: readonly string[]): boolean {
  const [key = ''] = valuesOf(requested, 'sec-websocket-key');
  const accept = createHash('sha1').update(`${key}${GUID}`, 'latin1').digest('base64');
  // Repeated lines are joined with a comma, so that they do not match.
  const isWebSocket = valuesOf(lines, 'upgrade').join().toLowerCase() === 'websocket';
  return isWebSocket && valuesOf(lines, 'sec-websocket-accept').join() === accept;
}
