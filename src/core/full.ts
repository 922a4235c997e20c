// Why a request got 503 `overloaded`: its hint, and what would have made room. Each text completes "got 503: …". The
// status itself is a row of decision.ts.

/** Keyed by what was used up. */
export const FULL = {
  bytes: 'limits.bufferedBytes is used up',
  slots: 'no place in upstream.connections became free',
  tunnels: 'there are too many WebSockets for limits.connections',
  stopped: 'the proxy stopped',
  store: 'the store of delivered events fails (once.onStoreFailure: refuse)',
  twins: 'another request for the same event took too long, or too many waited for it',
} as const;

const ROOM: Readonly<Record<keyof typeof FULL, string>> = {
  bytes: 'Do bodies trickle in? Lower limits.bodyTimeout. If not, raise limits.bufferedBytes and the memory.',
  slots: 'Is the app slow? Look at its log. If not, raise upstream.connections.',
  tunnels: 'Raise limits.connections, or close idle WebSockets.',
  stopped: 'Give it more time to stop: shutdown.grace.',
  store: 'Bring the store back.',
  twins: 'Is the app slow? Look at its log.',
};

/** What to do about a hint; null for one that is none of `FULL`. */
export function roomFor(hint: string | null): string | null {
  const kinds = Object.keys(FULL) as (keyof typeof FULL)[];
  const kind = kinds.find((name) => FULL[name] === hint);
  return kind === undefined ? null : ROOM[kind];
}
