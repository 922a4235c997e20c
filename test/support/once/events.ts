// Events for tests of `once`: an upstream that handles each event as the test says, and senders that wait or leave.
import { request, type ServerResponse } from 'node:http';
import { sign } from '../deliveries/signer.ts';
import { eventually, value } from '../proxy/proxied.ts';
import { startUpstream } from '../upstream/upstream.ts';

export const OK = '{"status":"ok"}';
export const DELIVERED = { status: 200, text: OK };
export const DUPLICATE = { status: 200, text: '{"status":"duplicate"}' };

export type Act = (response: ServerResponse) => void;

export type EventUpstream = Awaited<ReturnType<typeof startEventUpstream>>;

export async function startEventUpstream() {
  const scripts = new Map<string, Act[]>();
  const counts = new Map<string, number>();
  const { url, close } = await startUpstream({
    handle({ body }, response) {
      const { event } = JSON.parse(body.toString()) as { event: string };
      counts.set(event, (counts.get(event) ?? 0) + 1);
      const act = scripts.get(event)?.shift() ?? give(200);
      act(response);
    },
  });
  const times = (event: string) => counts.get(event) ?? 0;
  return {
    url,
    /** The behaviours for the next requests with this event, in turn; otherwise 200 `{"status":"ok"}`. */
    script: (event: string, ...acts: readonly Act[]) => void scripts.set(event, [...acts]),
    /** How often a request with this event arrived. */
    times,
    /** Resolves when one has arrived. */
    reached: (event: string, wanted = 1) => eventually(() => times(event), wanted),
    close,
  };
}

export function give(status: number): Act {
  return (response) => void response.writeHead(status, { 'Content-Length': OK.length }).end(OK);
}

/** Holds the response back until it is released with one of these statuses. */
export function held(): { readonly act: Act; answer(status: number): void } {
  let response: ServerResponse | undefined;
  return {
    act: (given) => {
      response = given;
    },
    answer: (status) => {
      if (response === undefined) throw new Error('the upstream was not reached');
      give(status)(response);
    },
  };
}

export interface Delivery {
  /** `/events/<event>` unless given. */
  readonly path?: string;
  /** The name of the secret; null for no signature. */
  readonly secret?: string | null;
  readonly body?: string;
  /** False: it leaves the response body unread, so only its end is noticed. */
  readonly read?: boolean;
}

export interface Given {
  readonly status: number;
  readonly text: string;
}

type Proxy = { readonly url: string };

export const bodyOf = (event: string) => JSON.stringify({ event });

/** Sends it on a new connection. */
export function send(proxy: Proxy, event: string, delivery: Delivery = {}) {
  const { path = `/events/${event}`, secret = 'a', body = bodyOf(event), read = true } = delivery;
  const headers = {
    'Content-Type': 'application/json',
    'Content-Length': Buffer.byteLength(body),
    ...(secret !== null && { 'Entrupy-Signature': sign(value(secret), body) }),
  };
  const outgoing = request(proxy.url + path, { method: 'POST', agent: false, headers });
  const given = new Promise<Given>((resolve) => {
    outgoing.on('error', (error) => resolve({ status: 0, text: error.message }));
    outgoing.on('response', (response) => {
      let text = '';
      if (read)
        response.on('data', (piece) => {
          text += piece;
        });
      response.on('error', (error) => resolve({ status: 0, text: error.message }));
      response.on('end', () => resolve({ status: response.statusCode ?? 0, text }));
    });
  });
  outgoing.end(body);
  return { given, leave: () => void outgoing.destroy() };
}

export function deliver(proxy: Proxy, event: string, delivery: Delivery = {}): Promise<Given> {
  return send(proxy, event, delivery).given;
}
