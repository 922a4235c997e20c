// A WebSocket's opening handshake (RFC 6455 4.1): which heads are one, and how its lines are written on the next hop.
// Pure. Any other upgrade (h2c above all) is never taken for one: nothing that runs in a tunnel is verified.
import { createHash } from 'node:crypto';
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

/** What every server appends to a handshake's key (RFC 6455 1.3). */
const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';

/** True where a 101 with these lines takes the handshake with this key: only then does a tunnel begin (RFC 6455 4.2.2). */
export function takesHandshake(lines: readonly string[], key: string): boolean {
  const accept = createHash('sha1').update(`${key}${GUID}`, 'latin1').digest('base64');
  const valuesOf = (name: string) => lines.filter((_, at) => at % 2 === 1 && lines[at - 1]?.toLowerCase() === name);
  const [upgrades, accepts] = [valuesOf('upgrade'), valuesOf('sec-websocket-accept')];
  return (
    upgrades.length === 1 && upgrades[0]?.toLowerCase() === 'websocket' && accepts.length === 1 && accepts[0] === accept
  );
}
