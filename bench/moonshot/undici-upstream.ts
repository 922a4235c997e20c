// The first way to the upstream: undici's pool, as the product has it, before the strict parser. A permit or nothing.
import { Buffer } from 'node:buffer';
import type { Dispatcher } from 'undici';
import Pool from 'undici/lib/dispatcher/pool.js';
import { endToEnd } from '../../src/core/headers.ts';
import { isPermit, type Permit } from '../../src/core/permit.ts';
import type { Upstream } from './connection.ts';
import type { Carrier, Framing, Reply } from './reply.ts';

type Controller = Dispatcher.DispatchController;

export class UndiciUpstream implements Upstream {
  readonly #pool: Pool;

  constructor(url: string, connections: number) {
    this.#pool = new Pool(url, { connections, keepAliveTimeout: 1000, keepAliveMaxTimeout: 1000 });
  }

  send(permit: Permit, given: Buffer, reply: Reply): void {
    if (!isPermit(permit)) throw new Error('no permit, no upstream');
    const { head, lines } = reply.request;
    const body = permit.body ?? (given.length > 0 ? given : null);
    const method = head.method as Dispatcher.HttpMethod;
    const request = { path: head.target, method, headers: endToEnd(lines), body, reset: false };
    this.#pool.dispatch(request, new Relay(reply));
  }

  close(): Promise<void> {
    return this.#pool.destroy();
  }
}

class Relay implements Dispatcher.DispatchHandler, Carrier {
  readonly #reply: Reply;
  #controller: Controller | null = null;
  #gone = false;

  constructor(reply: Reply) {
    this.#reply = reply;
    reply.carrier = this;
  }

  abort(): void {
    this.#gone = true;
    this.#controller?.abort(new Error('the client left'));
  }

  resume(): void {
    if (this.#controller?.paused === true) this.#controller.resume();
  }

  onRequestStart(controller: Controller): void {
    this.#controller = controller;
    if (this.#gone) controller.abort(new Error('the client left'));
  }

  onResponseStart(controller: Controller, status: number, _headers: unknown, reason = ''): void {
    const lines = endToEnd(flat(controller.rawHeaders));
    let text = `HTTP/1.1 ${status} ${reason}\r\n`;
    for (let index = 0; index < lines.length; index += 2) text += `${lines[index]}: ${lines[index + 1]}\r\n`;
    if (status < 200) {
      if (!this.#reply.interim(text)) this.#reply.fail(502);
    } else this.#reply.begin({ status, text, framing: framingOf(this.#reply, status, lines) });
  }

  onResponseData(controller: Controller, piece: Buffer): void {
    if (!this.#reply.data(piece)) controller.pause();
  }

  onResponseEnd(): void {
    this.#reply.end();
  }

  onResponseError(_controller: Controller | null, error: Error & { code?: string }): void {
    this.#reply.fail(error.code?.endsWith('_TIMEOUT') === true ? 504 : 502);
  }
}

function flat(raw: Controller['rawHeaders']): string[] {
  if (!Array.isArray(raw)) return [];
  return raw.map((part: Buffer | string) => (typeof part === 'string' ? part : Buffer.from(part).toString('latin1')));
}

function framingOf(reply: Reply, status: number, lines: readonly string[]): Framing {
  if (reply.request.head.method === 'HEAD' || status === 204 || status === 304) return 'none';
  return lines.some((line, index) => index % 2 === 0 && line.toLowerCase() === 'content-length') ? 'length' : 'chunked';
}
