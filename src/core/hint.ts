// The likely cause of how one request ended. All diagnoses, with their remedies, are in health/diagnoses.ts.
import type { Buffer } from 'node:buffer';
import type { Diagnosis } from '../health/diagnoses.ts';

/** A likely cause, for the operator alone. Never holds the value of a secret or a header. */
export interface Hint {
  readonly diagnosis: Diagnosis;
  readonly text: string;
  /** The id of the expired or not yet valid secret that signed the request. */
  readonly secret?: string;
  /** True for a failed handshake as health checks and scanners make it, too. */
  readonly fromChecks?: boolean;
  /** True for bytes that only a front writes, and no scanner. */
  readonly fromFront?: boolean;
  /** True if no signature shows it: it is only likely. */
  readonly isGuess?: boolean;
}

/** The beginnings of connections that bring no request (haproxy.org, proxy-protocol.txt 2; RFC 8446 5.1; RFC 9113 3.4). */
const PREAMBLES = [
  { start: /^PROXY |^\r\n\r\n\0\r\nQUIT\n/, text: 'turn off the PROXY protocol in what is in front', fromFront: true },
  { start: /^\x16\x03/, text: 'connect without TLS, or give listen.tls', fromFront: false },
  { start: /^PRI \* HTTP\/2\.0\r\n/, text: 'speak HTTP/1.1 to the proxy', fromFront: false },
];

/** The hint for bytes that cannot be parsed, by the first of them; null for unknown ones. */
export function preambleHint(first: Buffer): Hint | null {
  const text = first.toString('latin1', 0, 32);
  const preamble = PREAMBLES.find(({ start }) => start.test(text));
  return preamble ? { diagnosis: 'gate-rule', text: preamble.text, fromFront: preamble.fromFront } : null;
}

export const renamedText = (name: string) =>
  `its signature came in ${name}, so something in front of the proxy renames the header`;

export const OVERLOAD_HINTS = {
  bytes: { diagnosis: 'bodies-full', text: 'limits.bufferedBytes has no room for the body' },
  slots: { diagnosis: 'slots-full', text: 'no place in upstream.connections became free' },
  connections: { diagnosis: 'connections-full', text: 'limits.connections was reached' },
  tunnels: { diagnosis: 'tunnels-full', text: 'there are too many WebSockets for limits.connections' },
  paused: { diagnosis: 'slow-request', text: 'the body paused for longer than idleTimeout' },
  stopped: { diagnosis: 'stopped', text: 'the proxy stopped' },
  store: { diagnosis: 'once-store', text: 'the store of delivered events fails' },
  twins: {
    diagnosis: 'twins-wait',
    text: 'another request for the same event took too long, or too many waited for it',
  },
} as const satisfies Record<string, Hint>;

/** The hint for a request that its client closed within. No rule is broken, whatever the answer. */
export const BROKEN_OFF: Hint = { diagnosis: 'front-leaves', text: 'the client closed within the request' };

/** The hint for a 413. `declared`: the body's length by its head, in bytes; null if reading it passed the limit. */
export function largeBodyHint(maxBody: number, declared: number | null): Hint {
  const size = declared === null ? 'and the body has more' : `and the head declares ${declared}`;
  return { diagnosis: 'large-body', text: `maxBody is ${maxBody} bytes, ${size}` };
}
