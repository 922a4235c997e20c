// Deliver once behaves the same with each store, a real Redis and Valkey, too.
import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { exchange, sendTo } from '../support/http/raw-client.ts';
import {
  bodyOf,
  bytesOf,
  DELIVERED,
  DUPLICATE,
  deliver,
  give,
  held,
  OK,
  send,
  startEventUpstream,
} from '../support/once/events.ts';
import { remembering } from '../support/once/once.ts';
import { HAS_SERVERS, type RedisProgram, type RedisServer, SERVERS, startRedis } from '../support/once/redis.ts';
import { eventually, value } from '../support/proxy/proxied.ts';
import { shared } from '../support/proxy/shared.ts';

const ROUTES = [
  { path: '/events/*', once: '1h' },
  { path: '/brief/*', once: '2s' },
  { path: '/watched/*', once: '1h', mode: 'report' },
];

function promisesOf(name: 'memory' | RedisProgram): void {
  let redis: RedisServer | null = null;
  let failuresBefore: number | undefined;
  beforeAll(async () => {
    if (name !== 'memory') redis = await startRedis(name);
  });
  afterAll(() => redis?.kill());
  const config = () => ({
    routes: ROUTES,
    unmatched: 'reject',
    once: { store: redis?.url ?? 'memory' },
    log: { requests: 'all' },
  });
  const on = shared(startEventUpstream, config, { secrets: { a: value('a'), b: value('b') } });
  beforeAll(async () => {
    await remembering(on.proxy, '/brief/remembered');
    failuresBefore = await storeFailures();
  });

  const storeFailures = () => metric('once_store_failures_total');
  const metric = async (text: string) => (await on.proxy.metrics()).get(`entrupy_proxy_${text}`);
  const inFlight = (count: number) => eventually(() => metric('requests_in_flight'), count);

  test('the first goes through; a duplicate is answered, counted and logged', async () => {
    expect(await deliver(on.proxy, 'first')).toEqual(DELIVERED);
    expect(await deliver(on.proxy, 'first')).toEqual(DUPLICATE);
    expect(await deliver(on.proxy, 'first', { path: '/events/first?try=2' })).toEqual(DUPLICATE);
    expect(on.upstream.times('first')).toBe(1);
    expect(await metric('requests_total{route="/events/*",decision="duplicate",reason="none"}')).toBe(2);
    expect(
      await on.proxy.waitForLog(({ decision, route }) => decision === 'duplicate' && route === '/events/*'),
    ).toMatchObject({
      route: '/events/*',
      path: '/events/first',
      status: 200,
      reason: 'none',
      secret: 'a',
    });
  });

  test('one body signed with two live secrets is one event, and each secret’s match counts', async () => {
    expect(await deliver(on.proxy, 'rotated')).toEqual(DELIVERED);
    expect(await deliver(on.proxy, 'rotated', { secret: 'b' })).toEqual(DUPLICATE);
    expect(await metric('secret_matches_total{route="/events/*",secret="b"}')).toBe(1);
  });

  test('it is forgotten when its window ends', async () => {
    expect(await deliver(on.proxy, 'window', { path: '/brief/window' })).toEqual(DELIVERED);
    expect(await deliver(on.proxy, 'window', { path: '/brief/window' })).toEqual(DUPLICATE);
    await eventually(() => deliver(on.proxy, 'window', { path: '/brief/window' }), DELIVERED);
  });

  test.each(name === 'memory' ? [500, 404, 301, 304] : [500])('after a %i a retry goes through', async (status) => {
    const event = `after-${status}`;
    on.upstream.script(event, give(status));
    expect((await deliver(on.proxy, event)).status).toBe(status);
    expect(await deliver(on.proxy, event)).toEqual(DELIVERED);
    expect(await deliver(on.proxy, event)).toEqual(DUPLICATE);
  });

  test('sixteen twins may wait; more are told to retry, and none hangs', async () => {
    const { act, answer } = held();
    on.upstream.script('crowd', act);
    const first = send(on.proxy, 'crowd');
    await on.upstream.reached('crowd');
    const waiting = Array.from({ length: 16 }, () => send(on.proxy, 'crowd', { secret: 'b' }));
    await eventually(() => metric('requests_in_flight'), 17);
    expect(await metric('buffered_bytes')).toBeGreaterThanOrEqual(17 * bodyOf('crowd').length);
    const tooMany = await exchange(on.proxy, bytesOf('crowd'));
    expect([tooMany.status, tooMany.body.toString()]).toEqual([503, '{"error":"overloaded"}']);
    expect(tooMany.lines).toContain('Retry-After: 1');
    const lost = async () => (await on.proxy.status()).undelivered[0]?.hint;
    await eventually(lost, 'another request for the same event took too long, or too many waited for it');
    answer(200);
    expect(await first.given).toEqual(DELIVERED);
    for (const { given } of waiting) expect(await given).toEqual(DUPLICATE);
    expect(on.upstream.times('crowd')).toBe(1);
  });

  test.each([
    { status: 200, second: DUPLICATE, times: 1 },
    { status: 500, second: DELIVERED, times: 2 },
  ])('a client that leaves does not undo a $status', async ({ status, second, times }) => {
    const event = `left-${status}`;
    const { act, answer } = held();
    let cut = false;
    on.upstream.script(event, (response) => {
      response.on('close', () => {
        cut = !response.writableFinished;
      });
      act(response);
    });
    const first = send(on.proxy, event);
    await on.upstream.reached(event);
    first.leave();
    await inFlight(0);
    const twin = send(on.proxy, event);
    await inFlight(1);
    answer(status);
    expect(await twin.given).toEqual(second);
    expect([cut, on.upstream.times(event)]).toEqual([false, times]);
  });

  if (name === 'memory') ofAnyStore();

  test('no lease is left at the end', async () => {
    await inFlight(0);
    await eventually(() => metric('buffered_bytes'), 0);
    expect(await storeFailures()).toBe(failuresBefore);
    const remembered = await metric('once_entries');
    if (name === 'memory') expect(remembered).toBeGreaterThan(10);
    else expect(remembered).toBe(0);
  });

  /** What a store has no part in. */
  function ofAnyStore(): void {
    test.each([201, 299])('a %i counts as delivered', async (status) => {
      on.upstream.script(`${status}`, give(status));
      expect((await deliver(on.proxy, `${status}`)).status).toBe(status);
      expect(await deliver(on.proxy, `${status}`)).toEqual(DUPLICATE);
    });

    test('a body that ends by close counts if it is closed, not if it is reset', async () => {
      const start = 'HTTP/1.1 200 OK\r\n\r\n';
      on.upstream.script(
        'until-close',
        ({ socket }) => void socket?.write(`${start}some`, () => socket.resetAndDestroy()),
        ({ socket }) => void socket?.end(`${start}all`),
      );
      expect((await deliver(on.proxy, 'until-close')).status).toBe(0);
      expect(await deliver(on.proxy, 'until-close')).toEqual({ status: 200, text: 'all' });
      expect(await deliver(on.proxy, 'until-close')).toEqual(DUPLICATE);
    });

    test('pipelined twins get their responses in order', async () => {
      const client = await sendTo(on.proxy, bytesOf('pipelined').repeat(2));
      expect((await client.response()).body.toString()).toBe(OK);
      expect((await client.response()).body.toString()).toBe(DUPLICATE.text);
      client.destroy();
    });

    test('a client that reads half of a long response and leaves: the delivery still counts', async () => {
      let finished = false;
      on.upstream.script('long', (response) => {
        response.on('finish', () => {
          finished = true;
        });
        response.end(Buffer.alloc(32 * 1024 * 1024));
      });
      const socket = connect({ port: on.proxy.port, host: '127.0.0.1' });
      socket.write(bytesOf('long'));
      await new Promise((resolve) => socket.once('readable', resolve));
      expect(finished).toBe(false);
      socket.destroy();
      await eventually(() => finished, true);
      expect(await deliver(on.proxy, 'long')).toEqual(DUPLICATE);
    });

    test('an unverified request neither marks an event nor learns of one', async () => {
      for (const secret of [null, 'forged'])
        expect((await deliver(on.proxy, 'poison', { secret })).status, `${secret}`).toBe(401);
      expect(await deliver(on.proxy, 'poison')).toEqual(DELIVERED);
      for (const secret of [null, 'forged'])
        expect((await deliver(on.proxy, 'poison', { secret })).status, `${secret}`).toBe(401);
      expect(on.upstream.times('poison')).toBe(1);
    });

    test('in report mode a request with a valid signature is remembered, one that is only reported is not', async () => {
      const path = '/watched/report';
      for (const [secret, answer] of [
        ['forged', DELIVERED],
        [null, DELIVERED],
        ['a', DELIVERED],
        ['forged', DELIVERED],
        ['b', DUPLICATE],
      ] as const)
        expect(await deliver(on.proxy, 'report', { path, secret }), `${secret}`).toEqual(answer);
      expect(on.upstream.times('report')).toBe(4);
    });
  }
}

describe('with memory', () => promisesOf('memory'));
describe.skipIf(!HAS_SERVERS).each(SERVERS)('with %s', promisesOf);
