// A `test` with an app whose answers the test chooses, and proxies that store what it does not take. All end with the
// test; a directory outlives its proxies, so that the next one finds what the last one stored.
import { existsSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import type { Needs } from '../../../src/redelivery/process-parts.ts';
import { fileIn } from '../../../src/redelivery/stores/store.ts';
import { exchange } from '../http/raw-client.ts';
import { request, signatureLine } from '../http/requests.ts';
import { test as base, eventually, started, value } from '../proxy/proxied.ts';
import type { ProxyOptions, RunningProxy } from '../proxy/proxy.ts';
import { patience } from '../runner/patience.ts';
import { waitFor } from '../runner/wait-for.ts';
import { type Handler, startUpstream } from '../upstream/upstream.ts';
import { idsIn, openedAt } from './stores.ts';

/** What the state of a store needs; its log takes every line. */
export const needsOf = (log: Needs['log'], onResult: Needs['onResult'] = () => {}) => ({
  ...{ log, onResult, onSending: () => {}, tellLoss: async () => true },
  storeSettings: () => ({
    store: '/store',
    name: '',
    passwordFile: null,
    readPassword: async () => '',
    maxBytes: 1e6,
    keep: 0,
  }),
});

/** What the app does with a request: a status, no answer at all, or an end of the connection. */
export type Answer = number | 'hang' | 'reset' | Handler;

export type App = Awaited<ReturnType<typeof startApp>>;

export interface RedelivererOptions extends Partial<Omit<ProxyOptions, 'config'>> {
  readonly route?: object;
  readonly config?: object;
  readonly redelivery?: object;
  readonly upstream?: object;
}

export const test = base
  .extend('app', started(startApp))
  /** Its one route is `/notify`, with `redeliver: 1h` unless `route` says otherwise; it stores in `directory`. */
  // In this order: proxies stop before their directory goes.
  .extend('redeliverer', ({ directory, app, start }) => async (options: RedelivererOptions = {}) => {
    const { route = {}, config = {}, redelivery = {}, upstream = {}, ...others } = options;
    const whole = {
      upstream: { url: app.url, retryConnectFor: '500ms', ...upstream },
      routes: [{ path: '/notify', redeliver: '1h', ...route }],
      redelivery: { store: directory, ...redelivery },
      log: { requests: 'all' },
      ...config,
    };
    const proxy = await start(whole, others);
    // The folder is opened beside the start. A delivery waits a second for it at most, which a busy machine exceeds.
    if (whole.redelivery.store === directory && 'redeliver' in (whole.routes[0] ?? {})) await untilOpen(directory);
    return proxy;
  });

export async function startApp() {
  const upstream = await startUpstream({
    handle: (request, response) => {
      const given = app.answer(request.body.toString('latin1'));
      if (typeof given === 'function') given(request, response);
      else if (given === 'reset') response.socket?.resetAndDestroy();
      else if (given !== 'hang') response.writeHead(given).end(given === 204 ? '' : `the app says ${given}`);
    },
  });
  const app = {
    ...upstream,
    /** What it does from now on. Every request is recorded, whatever it does with it. */
    answer: (_body: string): Answer => 200,
    /** The bodies that it has got, as text. */
    bodies: () => upstream.requests.map(({ body }) => body.toString('latin1')),
  };
  return app;
}

export interface Delivered {
  readonly target?: string;
  readonly lines?: readonly string[];
  /** The name of the secret. */
  readonly secret?: string;
  readonly method?: string;
}

export function deliveryBytes(body: string | Buffer, delivered: Delivered = {}): string {
  const { target = '/notify', lines = [], secret = 'a', method = 'POST' } = delivered;
  const text = Buffer.from(body).toString('latin1');
  const head = [`${method} ${target} HTTP/1.1`, 'Host: hooks.example', ...lines, signatureLine(text, value(secret))];
  return request([...head, `Content-Length: ${text.length}`], text);
}

/** Sends a signed delivery on a new connection; returns the status and the body of the answer. */
export async function deliver(proxy: RunningProxy, body: string | Buffer, delivered: Delivered = {}) {
  const { status, body: text } = await exchange(proxy.port, deliveryBytes(body, delivered));
  return { status, text: text.toString('latin1') };
}

export const DEFERRED = { status: 202, text: '{"status":"deferred"}' };

/** Again if need be: a busy machine may take longer than the store's second. Equal events are stored once. */
export const defer = (...delivery: Parameters<typeof deliver>) => eventually(() => deliver(...delivery), DEFERRED);

/** Defers these, one after another: from now on the app answers 500. */
export async function untaken(app: App, proxy: RunningProxy, ...bodies: readonly (string | Buffer)[]): Promise<void> {
  app.answer = () => 500;
  for (const body of bodies) await defer(proxy, body);
}

/** Defers these, and lets the app refuse them with 404: the proxy leaves them alone. Nothing else is stopped. */
export async function stopped(app: App, proxy: RunningProxy, ...bodies: readonly string[]): Promise<void> {
  await untaken(app, proxy, ...bodies);
  app.answer = () => 404;
  await eventually(() => deferred(proxy), { waiting: 0, stopped: bodies.length, expired: 0, unverified: 0 });
}

/** Asks for all that is deferred to be sent now, or for one of them. */
export async function redeliver(proxy: RunningProxy, id?: string): Promise<{ status: number; deliveries?: number }> {
  const query = id === undefined ? '' : `?id=${id}`;
  const response = await fetch(`${proxy.adminUrl}/-/redeliver${query}`, { method: 'POST' });
  return { ...((await response.json()) as { deliveries?: number }), status: response.status };
}

/** The deliveries in the store by state, as the proxy sees it. */
export async function deferred(proxy: RunningProxy) {
  const metrics = await proxy.metrics();
  const of = (state: string) => metrics.get(`entrupy_proxy_deferred_deliveries{state="${state}"}`);
  return { waiting: of('waiting'), stopped: of('stopped'), expired: of('expired'), unverified: of('unverified') };
}

export const nothingDeferred = (proxy: RunningProxy) =>
  eventually(() => deferred(proxy), { waiting: 0, stopped: 0, expired: 0, unverified: 0 });

/** How many deferred deliveries of the route ended so. */
export async function results(proxy: RunningProxy, result: string, route = '/notify'): Promise<number | undefined> {
  return (await proxy.metrics()).get(`entrupy_proxy_redelivered_total{route="${route}",result="${result}"}`);
}

/** The store is opened beside the start. */
export const untilOpen = (directory: string) => eventually(() => existsSync(fileIn(directory)), true);

/** The ids of what is stored. Again if need be: a busy machine may take longer than a store's second. */
export async function recordsIn(directory: string): Promise<string[]> {
  const { store } = await openedAt(directory, { as: 'visitor' });
  return await waitFor(() => idsIn(store)).finally(() => store.close());
}

/** Changes what is stored, as whoever can write to the file may. Tables: event, by id, and record, by place. */
export function altered(directory: string, sql: string, ...values: readonly (string | Uint8Array)[]): void {
  const database = new DatabaseSync(fileIn(directory), { timeout: patience() });
  database.prepare(sql).run(...values);
  database.close();
}
