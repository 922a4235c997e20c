// A WebSocket's opening handshake (RFC 6455 4.1): which heads are one, and how its lines are written on the next hop.
// Pure. Any other upgrade (h2c above all) is never taken for one: nothing that runs in a tunnel is verified.
import { type Head, hasBody } from './head.ts';
import { nominated } from './headers.ts';

/**
 * True for GET, HTTP/1.1, exactly `websocket` (any case), no framing line and no Expect. A body before the tunnel is
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

/**
 * A handshake's end-to-end lines as node takes them, with the two lines that were taken out as hop-by-hop. Spellings and
 * duplicates stay; lines of one name come together.
 */
export function handshakeHeaders(lines: readonly string[], upgrade: string): Record<string, string | string[]> {
  const byName = new Map<string, [spelling: string, value: string | string[]]>();
  for (let index = 0; index < lines.length; index += 2) {
    const name = lines[index] ?? '';
    const value = lines[index + 1] ?? '';
    const known = byName.get(name.toLowerCase());
    if (known === undefined) byName.set(name.toLowerCase(), [name, value]);
    else known[1] = [known[1], value].flat();
  }
  return Object.fromEntries([...byName.values(), ['connection', 'Upgrade'], ['upgrade', upgrade]]);
}
