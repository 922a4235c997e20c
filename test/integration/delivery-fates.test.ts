// Each delivery has one fate, counted and logged once, when it is known: also after its sender has left.
import { createHash } from 'node:crypto';
import type { Socket } from 'node:net';
import { beforeAll, describe, expect, test as plainTest } from 'vitest';
import { exchange, sendTo } from '../support/http/raw-client.ts';
import { delivery, post } from '../support/http/requests.ts';
import { ownDirectory } from '../support/machine/files.ts';
import { inFlight } from '../support/proxy/at-rest.ts';
import { eventually, test, value } from '../support/proxy/proxied.ts';
import type { RunningProxy } from '../support/proxy/proxy.ts';
import { change, reload } from '../support/proxy/reloads.ts';
import { shared } from '../support/proxy/shared.ts';
import { nothingDeferred } from '../support/redelivery/proxy.ts';
import { OK, startLenientUpstream } from '../support/upstream/lenient-upstream.ts';

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
  readonly fate: string;
  /** Of its line at `log.requests: rejected`; without it there is none. */
  readonly line?: object;
  /** The sender leaves: once the app has its request, or once the answer's first bytes have come. */
  readonly leaves?: 'at once' | 'within the answer';
  /** What the app does once the sender has left. */
  readonly later?: (socket: Socket) => void;
  readonly options?: object;
}

const says = (text: string) => (socket: Socket) => void socket.write(text);
const reset = (socket: Socket) => void socket.resetAndDestroy();
const cut = (status: number) => (socket: Socket) => void socket.write(begun(status), () => socket.destroy());
const nothing = () => {};
const ONCE = { once: '1h' };
const REDELIVER = { redeliver: '1h' };
const ERROR = { level: 'error' };
const LEFT = { level: 'warn', status: 499 };
const within = { leaves: 'within the answer' } as const;
const left = (later: (socket: Socket) => void, options: object) =>
  ({ app: nothing, leaves: 'at once', later, options }) as const;

/** What each status makes of a delivery is in test/unit/core/reasons.test.ts. */
const ROWS: Readonly<Record<string, Row>> = {
  'the app answers 200': { app: says(OK), fate: 'taken' },
  'the app answers 404': { app: says(answer(404)), fate: 'refused' },
  'the app answers 500': {
    app: says(answer(500)),
    fate: 'failed',
    line: { ...ERROR, status: 500, decision: 'accepted', reason: 'none', upstream_status: 500 },
  },
  'the app breaks off a 200': {
    app: cut(200),
    fate: 'failed',
    line: { ...ERROR, status: 200, upstream_status: 200, upstream_failure: 'reset' },
  },
  'the app resets': {
    app: reset,
    fate: 'failed',
    line: { ...ERROR, status: 502, upstream_failure: 'reset', upstream_error: 'ECONNRESET' },
  },
  'the sender leaves before the answer': {
    app: nothing,
    leaves: 'at once',
    fate: 'abandoned',
    line: { ...LEFT, reason: 'client_closed' },
  },
  'the sender leaves within a 200': { app: says(begun(200)), ...within, fate: 'taken' },
  'the sender leaves within a 500': {
    app: says(begun(500)),
    ...within,
    fate: 'failed',
    line: { status: 499, upstream_status: 500 },
  },
  'with once, the sender leaves, and the app answers 200': { ...left(says(OK), ONCE), fate: 'taken' },
  'with once, the sender leaves, and the app answers 500': {
    ...left(says(answer(500)), ONCE),
    fate: 'failed',
    line: { ...LEFT, ...ERROR, decision: 'accepted', upstream_status: 500 },
  },
  'with redeliver, the app answers 503': {
    app: says(answer(503)),
    options: REDELIVER,
    fate: 'deferred',
    line: { level: 'warn', status: 202, decision: 'deferred', upstream_status: 503 },
  },
  'with redeliver, the sender leaves, and the app answers 200': { ...left(says(OK), REDELIVER), fate: 'taken' },
  'with redeliver, the sender leaves, and the app answers 503': {
    ...left(says(answer(503)), REDELIVER),
    fate: 'deferred',
    line: { ...LEFT, decision: 'accepted', reason: 'client_closed', upstream_status: 503 },
  },
  'with both, the sender leaves, and the app resets': {
    ...left(reset, { ...ONCE, ...REDELIVER }),
    fate: 'deferred',
    line: { ...LEFT, upstream_failure: 'reset' },
  },
};

const rows = Object.entries(ROWS).map(([title, row], at) => ({ title, ...row, route: `/row-${at}` }));
/** What the app does on the other routes. */
const OTHERS: Readonly<Record<string, (socket: Socket) => void>> = {
  '/watched': says(OK),
  '/open': says(answer(500)),
  '/down': says(OK),
  '/down?other': says(OK),
  '/gone': says(answer(404)),
};
const on = shared(startLenientUpstream, {
  upstream: { retryConnectFor: '500ms' },
  routes: [
    ...rows.map(({ route, options = {} }) => ({ path: route, ...options })),
    ...['/twins', '/untaken-twins'].map((path) => ({ path, ...ONCE })),
    { path: '/kept-twins', ...ONCE, ...REDELIVER },
    { path: '/later', ...ONCE },
    { path: '/watched', mode: 'report' },
    { path: '/open', action: 'forward' },
  ],
  redelivery: { store: ownDirectory() },
});
/** By route: the app's side of its first request. */
const sockets = new Map<string, Socket>();
beforeAll(async () => {
  on.upstream.script((socket, { target: route }) => {
    const row = rows.find((each) => each.route === route);
    // What is deferred comes again; it has the same answer.
    if (row !== undefined && sockets.has(route)) return void socket.write(answer(503));
    if (sockets.has(route)) return void socket.write(OK);
    sockets.set(route, socket);
    (row?.app ?? OTHERS[route])?.(socket);
  });
  await nothingDeferred(on.proxy);
});

const answered = async (bytes: string, { port } = on.proxy) => {
  const { status } = await exchange(port, bytes);
  return status;
};
const signed = (target: string, body = 'event') => delivery(body, value('a'), { target });

describe.concurrent('the fate of a delivery', () => {
  plainTest.for(rows)('$title: $fate', async ({ route, leaves, later, fate, line }) => {
    const { proxy } = on;
    const body = `the event of ${route}`;
    const client = await sendTo(proxy, signed(route, body));
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
    if (line === undefined) return expect(lines()).toEqual([]);
    await eventually(() => lines().length, 1);
    expect(lines()[0]).toMatchObject({ fate, secret: 'current', body_sha256: tagOf(body), ...line });
  });
});

test.for([
  { route: '/twins', first: OK, fates: { taken: 1, duplicate: 2 } },
  { route: '/kept-twins', first: OK, fates: { taken: 1, duplicate: 2 } },
  { route: '/untaken-twins', first: answer(500), fates: { failed: 1, abandoned: 1, taken: 1 } },
])('a twin whose sender left has the fate of its event: $route', async ({ route, first, fates }) => {
  await inFlight(on.proxy, 0);
  const sender = await sendTo(on.proxy, signed(route));
  await eventually(() => sockets.has(route), true);
  const twin = await sendTo(on.proxy, signed(route));
  await inFlight(on.proxy, 2);
  twin.destroy();
  await inFlight(on.proxy, 1);
  expect(await fatesOf(on.proxy, route)).toEqual({});
  sockets.get(route)?.write(first);
  await sender.response();
  expect(await answered(signed(route))).toBe(200);
  await eventually(() => fatesOf(on.proxy, route), fates);
  sender.destroy();
});

test('only what was verified has a fate, on a report route, too', async () => {
  expect(await answered(signed('/watched'))).toBe(200);
  expect(await answered(delivery('event', value('b'), { target: '/watched' }))).toBe(200);
  expect(await answered(post('event', { target: '/watched' }))).toBe(200);
  expect(await answered(signed('/open'))).toBe(500);
  expect(linesOf(on.proxy, '/open')).toEqual([]);
  expect(await fatesOf(on.proxy, '/watched')).toEqual({ taken: 1 });
  const series = [...(await on.proxy.metrics()).keys()];
  expect(series.filter((name) => name.includes('deliveries_total{route="/open"'))).toEqual([]);
});

test('of an app that is down the log has the code and the body’s tag, and so has the page', async () => {
  await on.upstream.stop();
  expect(await answered(signed('/down', 'nobody there'))).toBe(502);
  expect(await on.proxy.waitForLog(({ status, path }) => status === 502 && path === '/down')).toMatchObject({
    ...{ upstream_failure: 'connect', upstream_error: 'ECONNREFUSED', body_sha256: tagOf('nobody there') },
  });
  expect(await (await fetch(`${on.proxy.adminUrl}/api/status`)).text()).toContain(tagOf('nobody there'));
  expect(await answered(delivery('event', value('b'), { target: '/down' }))).toBe(401);
  expect(await on.proxy.waitForLog(({ status }) => status === 401)).not.toHaveProperty('body_sha256');
  await on.upstream.listen();
  const lost = async () => (await on.proxy.status()).undelivered.filter(({ path }) => path === '/down').length;
  for (const [target, left] of [
    ['/down?other', 1],
    ['/down', 0],
  ] as const) {
    expect(await answered(signed(target, 'nobody there'))).toBe(200);
    await eventually(lost, left);
  }
});

test('at log.requests: all a delivery has one line, also after its sender left', async () => {
  await change(on.proxy, () => ({ log: { requests: 'all' } }));
  const client = await sendTo(on.proxy, signed('/later'));
  await eventually(() => sockets.has('/later'), true);
  client.destroy();
  const responses = 'entrupy_proxy_upstream_responses_total{route="/later",code="2xx"}';
  await inFlight(on.proxy, 0);
  expect((await on.proxy.metrics()).get(responses)).toBe(0);
  sockets.get('/later')?.write(OK);
  expect(await on.proxy.waitForLog(({ route }) => route === '/later')).toMatchObject({
    ...{ fate: 'taken', status: 499, upstream_status: 200, upstream_ms: expect.any(Number) },
  });
  expect((await on.proxy.metrics()).get(responses)).toBe(1);
  expect(await answered(signed('/gone', 'gone'))).toBe(404);
  const gone = await on.proxy.waitForLog(({ path }) => path === '/gone');
  expect(gone).toMatchObject({ level: 'info', fate: 'refused', body_sha256: tagOf('gone') });
  await on.proxy.stop();
  expect(linesOf(on.proxy, '/later')).toHaveLength(1);
});

test('without a slot: failed, or abandoned; cut: failed, or deferred', async ({ start, directory, lenient: app }) => {
  app.script(() => {});
  const proxy = await start({
    upstream: { url: app.url, connections: 2, retryConnectFor: '500ms' },
    routes: [{ path: '/plain' }, { path: '/kept', redeliver: '1h' }],
    redelivery: { store: directory },
    shutdown: { delay: '0s', grace: '300ms' },
  });
  await nothingDeferred(proxy); // the store has answered: until then a delivery waits for it, at most a second
  const both = await Promise.all(['/plain', '/kept'].map((target) => sendTo(proxy, signed(target))));
  await eventually(() => app.seen.length, 2);
  expect(await answered(signed('/plain', 'no slot'), proxy)).toBe(503);
  expect(await proxy.waitForLog(({ status }) => status === 503)).toMatchObject({
    ...{ reason: 'overloaded', hint: 'no place in upstream.connections became free', body_sha256: tagOf('no slot') },
  });
  await reload(proxy, (config) => config.replace('500ms', '1m')); // the sender leaves before
  const waiter = await sendTo(proxy, signed('/plain', 'left'));
  await inFlight(proxy, 3);
  waiter.destroy();
  await eventually(() => fatesOf(proxy, '/plain'), { failed: 1, abandoned: 1 });

  proxy.signal('SIGTERM');
  expect(await Promise.all(both.map(async (client) => (await client.response()).status))).toEqual([503, 202]);
  await proxy.exited;
  const fates = proxy.logs().flatMap(({ msg, route, fate }) => (msg === 'request' ? [`${route} ${fate}`] : []));
  expect(fates.toSorted()).toEqual(['/kept deferred', '/plain abandoned', '/plain failed', '/plain failed']);
  // No scrape counts what is lost after `stopping`: the last line does.
  expect(proxy.logs().at(-1)).toMatchObject({ level: 'error', msg: 'stopped', cut: 2, lost: 1 });
  for (const client of both) client.destroy();
});
