// Events for tests of `once`: an upstream that handles each event as the test says, and senders that wait or leave.
import type { ServerResponse } from 'node:http';
import { sign } from '../deliveries/signer.ts';
import { delivery } from '../http/requests.ts';
import { post } from '../load/load.ts';
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
}

export type Given = Awaited<ReturnType<typeof deliver>>;

type Proxy = { readonly url: string };

export const bodyOf = (event: string) => JSON.stringify({ event });

export const bytesOf = (event: string) => delivery(bodyOf(event), value('a'), { target: `/events/${event}` });

/** Sends it on a new connection. */
export function send(proxy: Proxy, event: string, given: Delivery = {}) {
  const { path = `/events/${event}`, secret = 'a', body = bodyOf(event) } = given;
  const leaving = new AbortController();
  const headers: Record<string, string> = secret === null ? {} : { 'Entrupy-Signature': sign(value(secret), body) };
  const sent = post({ url: proxy.url + path, body, headers, signal: leaving.signal });
  return {
    given: sent.then(({ status, text, trouble }) => ({ status, text: status === 0 ? trouble : text })),
    leave: () => leaving.abort(),
  };
}

export function deliver(proxy: Proxy, event: string, given: Delivery = {}) {
  return send(proxy, event, given).given;
}
