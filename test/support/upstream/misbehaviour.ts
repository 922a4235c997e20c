// Building blocks for the rows of misbehaving upstreams. The response to a request holds its id in a header and in its
// body. Bytes that must reach no client say POISON.
import type { Socket } from 'node:net';

/** `answer`: the request's own response, complete. `refused`: 502 or 504. `cut`: a response that visibly breaks off. */
export type Outcome = 'answer' | 'refused' | 'cut';

export interface Misbehaviour {
  readonly name: string;
  readonly allowed: readonly Outcome[];
  readonly play: (socket: Socket, id: number) => void;
  /** True if it is played before the body arrives. */
  readonly early?: boolean;
  readonly method?: 'HEAD';
  /** The expected reason phrase, if it is not `OK`. */
  readonly reason?: string;
  /** True if the response has no body. */
  readonly bodiless?: boolean;
  /** What a refusal is counted as, where it is the only outcome. */
  readonly cause?: 'timeout' | 'reset' | 'protocol';
}

export const POISON = 'HTTP/1.1 200 OK\r\nX-Id: POISON\r\nContent-Length: 6\r\n\r\nPOISON';

/** The response's body; every seventh one is longer than a packet. */
export const textOf = (id: number) => `id=${id};${'x'.repeat(id % 7 === 0 ? 20_000 : id % 50)}`;

export const head = (id: number, lines: readonly string[] = [], first = 'HTTP/1.1 200 OK') =>
  `${[first, `X-Id: ${id}`, ...lines].join('\r\n')}\r\n\r\n`;
export const whole = (id: number, lines: readonly string[] = [], first?: string) =>
  head(id, [...lines, `Content-Length: ${textOf(id).length}`], first) + textOf(id);
export const chunks = (id: number) => `${textOf(id).length.toString(16)};x\r\n${textOf(id)}\r\n`;
export const CHUNKED = 'Transfer-Encoding: chunked';

export type Bytes = (id: number) => string;
type Play = Misbehaviour['play'];

const latin1 = (bytes: string) => Buffer.from(bytes, 'latin1');
export const says = (bytes: Bytes): Play => {
  return (socket, id) => void socket.write(latin1(bytes(id)));
};
export const saysAndEnds = (bytes: Bytes): Play => {
  return (socket, id) => void socket.end(latin1(bytes(id)));
};
/** Resets in the next turn after the bytes were handed to the kernel. */
export const saysAndResets = (bytes: Bytes): Play => {
  return (socket, id) => void socket.write(latin1(bytes(id)), () => setImmediate(() => socket.resetAndDestroy()));
};
/** Closes with the rest of the request unread, which resets the connection after the response. */
export const saysAndLeaves = (bytes: Bytes): Play => {
  return (socket, id) => void socket.pause().write(latin1(bytes(id)), () => socket.destroy());
};

/** Rows by their names, of which each says its bytes in the same way. */
export const rows = (
  play: (bytes: Bytes) => Play,
  common: Pick<Misbehaviour, 'allowed'> & Partial<Misbehaviour>,
  bytes: Readonly<Record<string, Bytes>>,
): Misbehaviour[] => Object.entries(bytes).map(([name, each]) => ({ name, play: play(each), ...common }));
