// Each delivery has one fate, counted and logged once, when it is known: also after its sender has left.
import { createHash } from 'node:crypto';
import type { Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, test as plainTest } from 'vitest';
import { sendTo } from '../support/http/raw-client.ts';
import { delivery, post } from '../support/http/requests.ts';
import type { LogLine } from '../support/machine/child-output.ts';
import { ownDirectory } from '../support/machine/files.ts';
import { NOBODY } from '../support/machine/free-port.ts';
import { eventually, test, value } from '../support/proxy/proxied.ts';
import { type RunningProxy, startProxy } from '../support/proxy/proxy.ts';
import { reload } from '../support/proxy/reloads.ts';
import { nothingDeferred, untilOpen } from '../support/redelivery/redelivery.ts';
import { OK, type RawUpstream, startRawUpstream } from '../support/upstream/raw-upstream.ts';

const answer = (status: number) => `HTTP/1.1 ${status} x\r\nContent-Length: 2\r\n\r\nok`;
const begun = (status: number) => `HTTP/1.1 ${status} x\r\nContent-Length: 100\r\n\r\nbegun`;

/** The deliveries of the route by fate, without the zeros. */
async function fatesOf(proxy: RunningProxy, route: string): Promise<Record<string, number>> {
  const metrics = await proxy.metrics();
  const of = (fate: string) => metrics.get(`entrupy_proxy_deliveries_total{route="${route}",fate="${fate}"}`) ?? 0;
  const all = ['taken', 'refused', 'failed', 'abandoned', 'deferred', 'duplicate'].map((fate) => [fate, of(fate)]);
  return Object.fromEntries(all.filter(([, amount]) => amount !== 0));
}

const linesOf = (proxy: RunningProxy, route: string) =>
  proxy.logs().filter((line) => line.msg === 'request' && line.route === route);

const tagOf = (body: string) => createHash('sha256').update(body).digest('hex').slice(0, 16);

interface Row {
  /** What the app does with the request. */
  readonly app: (socket: Socket) => void;
  /** The sender leaves: once the app has its request, or once the answer's first bytes have come. */
  readonly leaves?: 'at once' | 'within the answer';
  /** What the app then does. */
  readonly later?: (socket: Socket) => void;
  readonly options?: object;
  readonly fate: string;
  /** Of its line at `log.requests: rejected`; null: there is none. */
  readonly line: object | null;
}

const says = (text: string) => (socket: Socket) => void socket.write(text);
const reset = (socket: Socket) => void socket.resetAndDestroy();
const cut = (status: number) => (socket: Socket) => void socket.write(begun(status), () => socket.destroy());
const nothing = () => {};
const ONCE = { once: '1h' };
const REDELIVER = { redeliver: '1h' };

const ROWS: Readonly<Record<string, Row>> = {
  'the app answers 200': { app: says(OK), fate: 'taken', line: null },
  'the app answers 302': { app: says(answer(302)), fate: 'taken', line: null },
  'the app answers 404': { app: says(answer(404)), fate: 'refused', line: null },
  'the app answers 500': {
    app: says(answer(500)),
    fate: 'failed',
    line: { level: 'error', status: 500, decision: 'accepted', reason: 'none', upstream_status: 500 },
  },
  'the app answers 429': { app: says(answer(429)), fate: 'failed', line: { level: 'error', upstream_status: 429 } },
  'the app breaks off a 200': {
    app: cut(200),
    fate: 'failed',
    line: { level: 'error', status: 200, upstream_status: 200, upstream_failure: 'reset' },
  },
  'the app resets': {
    app: reset,
    fate: 'failed',
    line: { level: 'error', status: 502, upstream_failure: 'reset', upstream_error: 'ECONNRESET' },
  },
  'the sender leaves before the answer': {
    app: nothing,
    leaves: 'at once',
    fate: 'abandoned',
    line: { level: 'warn', status: 499, reason: 'client_closed' },
  },
  'the sender leaves within a 200': {
    app: says(begun(200)),
    leaves: 'within the answer',
    fate: 'taken',
    line: null,
  },
  'the sender leaves within a 500': {
    app: says(begun(500)),
    leaves: 'within the answer',
    fate: 'failed',
    line: { status: 499, upstream_status: 500 },
  },
  'with once, the sender leaves, and the app answers 200': {
    options: ONCE,
    app: nothing,
    leaves: 'at once',
    later: says(OK),
    fate: 'taken',
    line: null,
  },
  'with once, the sender leaves, and the app answers 500': {
    options: ONCE,
    app: nothing,
    leaves: 'at once',
    later: says(answer(500)),
    fate: 'failed',
    line: { level: 'error', status: 499, decision: 'accepted', upstream_status: 500 },
  },
  'with once, the sender leaves, and the app resets': {
    options: ONCE,
    app: nothing,
    leaves: 'at once',
    later: reset,
    fate: 'failed',
    line: { level: 'error', status: 499, upstream_failure: 'reset' },
  },
  'with redeliver, the app answers 503': {
    options: REDELIVER,
    app: says(answer(503)),
    fate: 'deferred',
    line: { level: 'warn', status: 202, decision: 'deferred', upstream_status: 503 },
  },
  'with redeliver, the sender leaves, and the app answers 200': {
    options: REDELIVER,
    app: nothing,
    leaves: 'at once',
    later: says(OK),
    fate: 'taken',
    line: null,
  },
  'with redeliver, the sender leaves, and the app answers 503': {
    options: REDELIVER,
    app: nothing,
    leaves: 'at once',
    later: says(answer(503)),
    fate: 'deferred',
    line: { level: 'warn', status: 499, decision: 'accepted', reason: 'client_closed', upstream_status: 503 },
  },
  'with redeliver, the sender leaves, and the app answers 404': {
    options: REDELIVER,
    app: nothing,
    leaves: 'at once',
    later: says(answer(404)),
    fate: 'refused',
    line: null,
  },
  'with both, the sender leaves, and the app resets': {
    options: { ...ONCE, ...REDELIVER },
    app: nothing,
    leaves: 'at once',
    later: reset,
    fate: 'deferred',
    line: { level: 'warn', status: 499, upstream_failure: 'reset' },
  },
};

describe.concurrent('the fate of a delivery', () => {
  const rows = Object.entries(ROWS).map(([title, row], at) => ({ ...row, title, route: `/row-${at}` }));
  const directory = ownDirectory();
  let app: RawUpstream;
  let proxy: RunningProxy;
  /** By route: the app's side of its one request. */
  const sockets = new Map<string, Socket>();

  beforeAll(async () => {
    app = await startRawUpstream();
    app.script((socket, { head }) => {
      const route = head.split(' ')[1] ?? '';
      // What is deferred comes again; it has the same answer.
      const row = rows.find((each) => each.route === route);
      if (sockets.has(route)) return void socket.write(answer(503));
      sockets.set(route, socket);
      row?.app(socket);
    });
    proxy = await startProxy({
      config: {
        upstream: { url: app.url },
        routes: rows.map(({ route, options = {} }) => ({ path: route, ...options })),
        redelivery: { store: directory },
      },
      secrets: { current: value('a') },
    });
    await untilOpen(directory);
  });

  afterAll(async () => {
    await app.close();
    await proxy.stop();
  });

  plainTest.for(rows)('$title: $fate', async ({ route, leaves, later, fate, line }) => {
    const body = `the event of ${route}`;
    const client = await sendTo(proxy, delivery(body, value('a'), { target: route }));
    if (leaves === 'at once') await eventually(() => sockets.has(route), true);
    if (leaves === 'within the answer') await client.bytes(10);
    if (leaves === undefined) await client.responseOrClose().catch(() => null); // one that is cut is none
    client.destroy();
    if (later !== undefined) {
      const left = `entrupy_proxy_requests_total{route="${route}",decision="accepted",reason="client_closed"}`;
      await eventually(async () => (await proxy.metrics()).get(left), 1);
      later(sockets.get(route) as Socket);
    }
    await eventually(() => fatesOf(proxy, route), { [fate]: 1 });
    const lines = () => linesOf(proxy, route);
    if (line === null) return expect(lines()).toEqual([]);
    await eventually(() => lines().length, 1);
    const untaken = fate === 'refused' ? {} : { body_sha256: tagOf(body) };
    expect(lines()[0]).toMatchObject({ fate, secret: 'current', ...untaken, ...line });
  });
});

const answered = async (proxy: RunningProxy, bytes: string) => {
  const client = await sendTo(proxy, bytes);
  const { status } = await client.response();
  client.destroy();
  return status;
};

test('for want of a slot a delivery is failed, or abandoned by its sender before', async ({ start, raw: app }) => {
  app.script(() => {});
  const proxy = await start({ upstream: { url: app.url, connections: 1, retryConnectFor: '500ms' } });
  const first = await sendTo(proxy, delivery('first', value('a')));
  await eventually(() => app.heads.length, 1);
  expect(await answered(proxy, delivery('no slot', value('a')))).toBe(503);
  expect(await proxy.waitForLog(({ status }) => status === 503)).toMatchObject({
    ...{ reason: 'overloaded', hint: 'no place in upstream.connections became free', body_sha256: tagOf('no slot') },
  });
  await reload(proxy, (config) => config.replace('500ms', '1m')); // the sender leaves before
  expect(await fatesOf(proxy, 'unmatched')).toEqual({ failed: 1 });
  const second = await sendTo(proxy, delivery('left', value('a')));
  await eventually(async () => (await proxy.metrics()).get('entrupy_proxy_requests_in_flight'), 2);
  second.destroy();
  await eventually(() => fatesOf(proxy, 'unmatched'), { failed: 1, abandoned: 1 });
  first.destroy();
  await eventually(() => fatesOf(proxy, 'unmatched'), { failed: 1, abandoned: 2 });
});

test('with once a duplicate is one; a waiting twin whose sender leaves is abandoned', async ({ start, raw: app }) => {
  app.script(() => {});
  const proxy = await start({ upstream: { url: app.url }, routes: [{ path: '/notify', once: '1h' }] });
  const first = await sendTo(proxy, delivery('event', value('a')));
  await eventually(() => app.heads.length, 1);
  const twin = await sendTo(proxy, delivery('event', value('a')));
  await eventually(async () => (await proxy.metrics()).get('entrupy_proxy_requests_in_flight'), 2);
  twin.destroy();
  await eventually(() => fatesOf(proxy, '/notify'), { abandoned: 1 });
  for (const socket of app.sockets) socket.write(OK);
  expect((await first.response()).status).toBe(200);
  expect(await answered(proxy, delivery('event', value('a')))).toBe(200);
  expect(await fatesOf(proxy, '/notify')).toEqual({ abandoned: 1, taken: 1, duplicate: 1 });
  first.destroy();
});

test('with a full store a delivery is failed, with the app’s answer', async ({ start, directory, raw: app }) => {
  app.script(says(answer(503)));
  const routes = [{ path: '/notify', redeliver: '1h', maxBody: '1KiB' }];
  const redelivery = { store: directory, maxBytes: '64KiB' };
  const proxy = await start({ upstream: { url: app.url }, routes, redelivery });
  const statuses: number[] = [];
  // On a busy machine the store may be too slow for some, which then fail, too.
  while ((await proxy.status()).deferred?.problem !== 'it is full')
    statuses.push(await answered(proxy, delivery(`event ${statuses.length}`, value('a'))));
  expect([statuses.includes(202), statuses.at(-1)]).toEqual([true, 503]);
  const failed = statuses.filter((status) => status === 503).length;
  expect(await fatesOf(proxy, '/notify')).toEqual({ deferred: statuses.length - failed, failed });
  expect(await proxy.waitForLog((line: LogLine) => line.fate === 'failed')).toMatchObject({ upstream_status: 503 });
});

test('what grace cuts is failed, and deferred where a route has redeliver', async ({ start, directory, raw: app }) => {
  app.script(() => {});
  const proxy = await start({
    upstream: { url: app.url },
    routes: [{ path: '/plain' }, { path: '/kept', redeliver: '1h' }],
    redelivery: { store: directory },
    shutdown: { delay: '0s', grace: '300ms' },
  });
  await nothingDeferred(proxy); // the store has answered: until then a delivery waits for it, at most a second
  const clients = await Promise.all(
    ['/plain', '/kept'].map(async (target) => {
      const client = await sendTo(proxy, delivery('event', value('a'), { target }));
      return client;
    }),
  );
  await eventually(() => app.heads.length, 2);
  proxy.signal('SIGTERM');
  expect(await Promise.all(clients.map(async (client) => (await client.response()).status))).toEqual([503, 202]);
  await proxy.exited;
  const fates = proxy.logs().flatMap(({ msg, route, fate }) => (msg === 'request' ? [[route, fate]] : []));
  expect(fates.toSorted()).toEqual([
    ['/kept', 'deferred'],
    ['/plain', 'failed'],
  ]);
  for (const client of clients) client.destroy();
});

test('of an app that is down the log has the code and the body’s tag, and so has the page', async ({ start }) => {
  const proxy = await start({ upstream: { url: NOBODY, retryConnectFor: '200ms' } });
  expect(await answered(proxy, delivery('event', value('a')))).toBe(502);
  expect(await proxy.waitForLog(({ status }) => status === 502)).toMatchObject({
    ...{ upstream_failure: 'connect', upstream_error: 'ECONNREFUSED', body_sha256: tagOf('event') },
  });
  expect(await (await fetch(`${proxy.adminUrl}/api/status`)).text()).toContain(tagOf('event'));
  expect(await answered(proxy, delivery('event', value('b')))).toBe(401);
  expect(await proxy.waitForLog(({ status }) => status === 401)).not.toHaveProperty('body_sha256');
});

test('only what was verified has a fate, on a report route, too', async ({ start, answering }) => {
  const app = await answering(({ target }, response) => response.writeHead(target === '/open' ? 500 : 200).end());
  const routes = [
    { path: '/watched', mode: 'report' },
    { path: '/open', action: 'forward' },
  ];
  const proxy = await start({ upstream: { url: app.url }, routes });
  expect(await answered(proxy, delivery('event', value('a'), { target: '/watched' }))).toBe(200);
  expect(await answered(proxy, delivery('event', value('b'), { target: '/watched' }))).toBe(200);
  expect(await answered(proxy, post('event', { target: '/watched' }))).toBe(200);
  expect(await answered(proxy, delivery('event', value('a'), { target: '/open' }))).toBe(500);
  expect(linesOf(proxy, '/open')).toEqual([]);
  expect(await fatesOf(proxy, '/watched')).toEqual({ taken: 1 });
  const series = [...(await proxy.metrics()).keys()].filter((name) => name.includes('deliveries_total{route="/open"'));
  expect(series).toEqual([]);
});

test('at log.requests: all a delivery has one line, also after its sender left', async ({ start, raw: app }) => {
  app.script(() => {});
  const routes = [{ path: '/notify', once: '1h' }];
  const proxy = await start({ upstream: { url: app.url }, routes, log: { requests: 'all' } });
  const client = await sendTo(proxy, delivery('event', value('a')));
  await eventually(() => app.heads.length, 1);
  client.destroy();
  const responses = 'entrupy_proxy_upstream_responses_total{route="/notify",code="2xx"}';
  await eventually(async () => (await proxy.metrics()).get('entrupy_proxy_requests_in_flight'), 0);
  expect((await proxy.metrics()).get(responses)).toBe(0);
  for (const socket of app.sockets) socket.write(OK);
  expect(await proxy.waitForLog(({ msg }) => msg === 'request')).toMatchObject({
    ...{ fate: 'taken', status: 499, upstream_status: 200, upstream_ms: expect.any(Number) },
  });
  expect((await proxy.metrics()).get(responses)).toBe(1);
  await proxy.stop();
  expect(linesOf(proxy, '/notify')).toHaveLength(1);
});
