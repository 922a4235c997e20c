// Every client connection, and which of them must go: over the limit, silent, or leaving its answer unread. A connection
// with a request in flight is never given up for a newcomer.
import { type Connection, hasStalled } from './connection.ts';

export interface ConnectionLimits {
  readonly connections: number;
  /** Milliseconds, all three. */
  readonly connectionAge: number;
  readonly keepAlive: number;
  readonly headersTimeout: number;
}

/** node looks for late heads twice a second, and its keep-alive timer has a second of its own. */
const MARGIN_MS = 2000;

export class Connections {
  readonly #all = new Set<Connection>();

  get size(): number {
    return this.#all.size;
  }

  has(connection: Connection): boolean {
    return this.#all.has(connection);
  }

  /** One that is over the limit takes the place of the oldest that has nothing in flight; where all have, it is closed. */
  add(connection: Connection, { connections }: ConnectionLimits): void {
    if (this.#all.size >= connections) this.#makeRoom(connection);
    this.#all.add(connection);
  }

  remove(connection: Connection): void {
    this.#all.delete(connection);
  }

  /** To be called about twice a second. */
  sweep(now: number, limits: ConnectionLimits): void {
    // Also for clients that drip bare CRLFs between requests: for node they are never idle, and never a request.
    const idle = limits.keepAlive + limits.headersTimeout + MARGIN_MS;
    const age = limits.connectionAge + limits.keepAlive;
    for (const connection of this.#all) {
      const unused = connection.active.length === 0;
      const tooOld = unused && (now - connection.idleSince >= idle || now - connection.openedAt >= age);
      if (tooOld || now >= connection.closeAt || hasStalled(connection, now)) connection.socket.destroy();
    }
  }

  destroyAll(): void {
    for (const connection of this.#all) connection.socket.destroy();
  }

  /** Those that never sent a request go first: heads that drip, and sockets kept open to keep others out. */
  #makeRoom(newcomer: Connection): void {
    const unused = [...this.#all].filter(({ active }) => active.length === 0);
    const victim = unused.find(({ latest }) => latest === null) ?? unused[0];
    if (victim !== undefined) this.remove(victim);
    (victim ?? newcomer).socket.destroy();
  }
}
