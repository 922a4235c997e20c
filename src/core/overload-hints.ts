// The hints of 503 `overloaded`, and what would have made room. Each text completes "got 503: …". The status itself is
// a row of decision.ts.

/** Keyed by what was used up. */
export const OVERLOAD_HINTS = {
  bytes: 'limits.bufferedBytes is used up',
  slots: 'no place in upstream.connections became free',
  tunnels: 'there are too many WebSockets for limits.connections',
  stopped: 'the proxy stopped',
  store: 'the store of delivered events fails (once.onStoreFailure: refuse)',
  twins: 'another request for the same event took too long, or too many waited for it',
} as const;

const ROOM: Readonly<Record<keyof typeof OVERLOAD_HINTS, string>> = {
  bytes: 'Do bodies trickle in? Lower limits.bodyTimeout. If not, raise limits.bufferedBytes and the memory.',
  slots: 'Is the app slow? Look at its log. If not, raise upstream.connections.',
  tunnels: 'Raise limits.connections, or close idle WebSockets.',
  stopped: 'Give it more time to stop: shutdown.grace.',
  store: 'Bring the store back.',
  twins: 'Is the app slow? Look at its log.',
};

/** What to do about a hint; null for one that is none of `OVERLOAD_HINTS`. */
export function roomFor(hint: string | null): string | null {
  const kinds = Object.keys(OVERLOAD_HINTS) as (keyof typeof OVERLOAD_HINTS)[];
  const kind = kinds.find((name) => OVERLOAD_HINTS[name] === hint);
  return kind === undefined ? null : ROOM[kind];
}
