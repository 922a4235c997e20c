// What rows of misbehaving upstreams are made of. The answer to a request holds its id in a line and in its body; what must reach
// nobody says POISON.
import type { Socket } from 'node:net';

/** `answer`: the request's own, whole. `refused`: 502 or 504. `cut`: a response that visibly breaks off. */
export type Outcome = 'answer' | 'refused' | 'cut';

export interface Misbehaviour {
  readonly name: string;
  readonly allowed: readonly Outcome[];
  readonly play: (socket: Socket, id: number) => void;
  /** True where it is played before the body has come. */
  readonly early?: boolean;
  readonly method?: 'HEAD';
  /** Where something else than `OK` has to arrive. */
  readonly reason?: string;
  /** True where the answer has no body. */
  readonly bodiless?: boolean;
}

export const POISON = 'HTTP/1.1 200 OK\r\nX-Id: POISON\r\nContent-Length: 6\r\n\r\nPOISON';

/** The body of the answer; every seventh one is longer than a packet. */
export const textOf = (id: number) => `id=${id};${'x'.repeat(id % 7 === 0 ? 20_000 : id % 50)}`;

export const head = (id: number, lines: readonly string[] = [], first = 'HTTP/1.1 200 OK') =>
  `${[first, `X-Id: ${id}`, ...lines].join('\r\n')}\r\n\r\n`;
export const whole = (id: number, lines: readonly string[] = [], first?: string) =>
  head(id, [...lines, `Content-Length: ${textOf(id).length}`], first) + textOf(id);
export const chunks = (id: number) => `${textOf(id).length.toString(16)};x\r\n${textOf(id)}\r\n`;
export const CHUNKED = 'Transfer-Encoding: chunked';

type Bytes = (id: number) => string;
type Row = Misbehaviour;

const latin1 = (bytes: string) => Buffer.from(bytes, 'latin1');
export const says =
  (bytes: Bytes): Row['play'] =>
  (socket, id) =>
    void socket.write(latin1(bytes(id)));
export const saysAndEnds =
  (bytes: Bytes): Row['play'] =>
  (socket, id) =>
    void socket.end(latin1(bytes(id)));
/** Resets in the turn after the bytes were handed to the kernel. */
export const saysAndResets =
  (bytes: Bytes): Row['play'] =>
  (socket, id) =>
    void socket.write(latin1(bytes(id)), () => setImmediate(() => socket.resetAndDestroy()));
/** Closes with the rest of the request unread, which resets the connection behind the answer. */
export const saysAndLeaves =
  (bytes: Bytes): Row['play'] =>
  (socket, id) => {
    socket.pause();
    socket.write(latin1(bytes(id)), () => socket.destroy());
  };

export const answers = (name: string, play: Row['play'], more: Partial<Row> = {}): Row => ({
  name,
  allowed: ['answer'],
  play,
  ...more,
});
export const refused = (name: string, bytes: Bytes): Row => ({ name, allowed: ['refused'], play: says(bytes) });
export const cut = (name: string, play: Row['play']): Row => ({ name, allowed: ['cut'], play });
export const broken = (name: string, play: Row['play']): Row => ({ name, allowed: ['cut', 'refused'], play });
export const odd = (name: string, play: Row['play']): Row => ({ name, allowed: ['answer', 'cut', 'refused'], play });
