// What the upstream does with the requests of `late-answers.ts`: it answers each by its id, and writes the late bytes
// at their time, if the socket is still there.
import { once } from 'node:events';
import type { Socket } from 'node:net';
import type { LenientUpstream, SeenRequest } from '../support/upstream/lenient-upstream.ts';
import type { Late, Request } from './late-answers.ts';

export class LateServer {
  readonly #sockets = new Set<Socket>();
  readonly #requests = new Map<string, Request>();
  readonly #owed = new Map<Socket, string[]>();
  #atNextRequest: (() => void)[] = [];
  readonly #onceRead = new Map<string, () => void>();

  constructor(upstream: LenientUpstream) {
    upstream.answer((seen) => (socket) => this.#answer(seen, socket));
  }

  expect(requests: readonly Request[]): void {
    for (const request of requests) this.#requests.set(request.id, request);
  }

  requestOf({ target }: SeenRequest): Request | undefined {
    return this.#requests.get(target.replace(/^[^?]*\?/, ''));
  }

  /** The client has its answer. */
  read(id: string): void {
    this.#onceRead.get(id)?.();
  }

  /** Ends the sockets, so that a run finds none of the last one. */
  async clear(): Promise<void> {
    const closed = [...this.#sockets].map((socket) => socket.destroyed || once(socket.destroy(), 'close'));
    await Promise.all(closed);
    for (const own of [this.#sockets, this.#requests, this.#owed, this.#onceRead]) own.clear();
    this.#atNextRequest = [];
  }

  #answer(seen: SeenRequest, socket: Socket): void {
    this.#sockets.add(socket);
    for (const write of this.#atNextRequest.splice(0)) write();
    const request = this.requestOf(seen);
    if (request === undefined) return void socket.destroy();
    const owed = this.#owed.get(socket)?.splice(0).join('') ?? '';
    const { answer, late } = request;
    socket.write(owed + answer + (late?.when === 'with it' ? late.bytes : ''), 'latin1');
    if (late !== null) this.#later(request.id, late, socket);
  }

  #later(id: string, { bytes, when }: Late, socket: Socket): void {
    const write = () => {
      if (socket.writable) socket.write(bytes, 'latin1');
    };
    if (when === 'a turn later') setImmediate(write);
    else if (when === 'once it is read') this.#onceRead.set(id, write);
    else if (when === 'at the next request') this.#atNextRequest.push(write);
    else if (when === 'before the next answer') this.#owed.set(socket, [...(this.#owed.get(socket) ?? []), bytes]);
  }
}
