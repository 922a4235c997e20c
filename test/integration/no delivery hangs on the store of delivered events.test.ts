// Failures of the store of `once`: it is unreachable, hangs, or refuses our password. onStoreFailure decides immediately,
// the log and the metrics report the failure, and no password is printed. Deliveries made during the failure are not
// repeated when the store is back.

import { execFileSync } from 'node:child_process';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { describe, expect, vi } from 'vitest';
import { createAuthority } from '../support/certificates.ts';
import { DUPLICATE, deliver, give, held, OK, send } from '../support/events.ts';
import { replaceFile } from '../support/files.ts';
import { reload, test } from '../support/once.ts';
import { PROGRAM } from '../support/program.ts';
import { eventually } from '../support/proxied.ts';
import type { RunningProxy } from '../support/proxy.ts';
import { HAS_SERVERS, type RedisServer, SERVERS } from '../support/redis.ts';

const DELIVERED = { status: 200, text: OK };
const REFUSED = { status: 503, text: '{"error":"overloaded"}' };
const MANY = 40;
const PASSWORD = 'a-password-that-nobody-may-print';
const FAILS = 'the store of delivered events fails';
const BACK = 'the store of delivered events works again';

const failures = async (proxy: RunningProxy) =>
  (await proxy.metrics()).get('entrupy_proxy_once_store_failures_total') ?? Number.NaN;
/** Counts from now on: on a busy machine the first event after a start may find the store not connected yet. */
const failuresSince = async (proxy: RunningProxy) => {
  const before = await failures(proxy);
  return async () => (await failures(proxy)) - before;
};
const inFlight = (proxy: RunningProxy, count: number) =>
  eventually(async () => (await proxy.metrics()).get('entrupy_proxy_requests_in_flight'), count);
const fails = (proxy: RunningProxy) => proxy.waitForLog(({ msg }) => msg === FAILS, FAILS);
const isBack = (proxy: RunningProxy) => proxy.waitForLog(({ msg }) => msg === BACK, BACK);

/** The number of events that the server itself has as delivered. */
async function remembered(server: RedisServer): Promise<number> {
  const keys = (await server.ask('KEYS', '*')) as string[];
  const values = await Promise.all(keys.map((key) => server.ask('GET', key)));
  return values.filter((value) => value === 'delivered').length;
}

// The longest first: the others run beside it.
describe.skipIf(!HAS_SERVERS).concurrent('with a server that is not reachable, or not yet', () => {
  test('a server that vanishes behind an open connection is abandoned for its replacement', async ({
    deliverer,
    redis,
  }) => {
    const server = await redis('redis-server');
    const relay = await startRelay(server.port);
    const proxy = await deliverer({ once: { store: `redis://127.0.0.1:${relay.port}` } });
    expect([await deliver(proxy, 'e'), await deliver(proxy, 'e')]).toEqual([DELIVERED, DUPLICATE]);
    relay.blackhole();
    expect(await deliver(proxy, 'e')).toEqual(DELIVERED);
    await fails(proxy);
    await vi.waitFor(() => expect(proxy.logs()).toContainEqual(expect.objectContaining({ msg: BACK })), 30_000);
    expect(await deliver(proxy, 'e')).toEqual(DUPLICATE);
    relay.close();
  });

  test('a missing password is reported at start, on either side', async ({ deliverer, redis, directory }) => {
    const { url: store } = await redis('redis-server', { password: PASSWORD });
    const passwordFile = join(directory, 'absent');
    const [none, absent] = await Promise.all([
      deliverer({ once: { store } }),
      deliverer({ once: { store, passwordFile, onStoreFailure: 'refuse' } }),
    ]);
    expect(await fails(none)).toMatchObject({ problem: expect.stringMatching(/NOAUTH/) });
    expect(await fails(absent)).toMatchObject({
      problem: `once.passwordFile ${passwordFile}: it does not exist`,
    });
    expect([await deliver(none, 'e'), await deliver(absent, 'e')]).toEqual([DELIVERED, REFUSED]);
    await writeFile(passwordFile, PASSWORD);
    await isBack(absent);
    expect([await deliver(absent, 'e'), await deliver(absent, 'e')]).toEqual([DELIVERED, DUPLICATE]);
  });

  test('a pipe or an empty file as the password is reported, and blocks nothing', async ({
    deliverer,
    redis,
    directory,
  }) => {
    const { url: store } = await redis('redis-server', { password: PASSWORD });
    const [pipe, empty] = [join(directory, 'pipe'), join(directory, 'empty')];
    execFileSync('mkfifo', [pipe]);
    await writeFile(empty, '');
    for (const [passwordFile, problem] of [
      [pipe, 'it is not a regular file'],
      [empty, 'it is empty'],
    ] as const) {
      const proxy = await deliverer({ once: { store, passwordFile } });
      expect(await fails(proxy)).toMatchObject({ problem: `once.passwordFile ${passwordFile}: ${problem}` });
      expect(await deliver(proxy, 'e')).toEqual(DELIVERED);
    }
  });

  test('TLS with a private CA', async ({ deliverer, redis, directory }) => {
    const authority = createAuthority(directory, 'ca');
    const { url: store } = await redis('redis-server', { tls: authority.issue('store', { names: ['IP:127.0.0.1'] }) });
    const [trusting, other] = await Promise.all([
      deliverer({ once: { store }, env: { NODE_EXTRA_CA_CERTS: authority.caFile } }),
      deliverer({ once: { store, onStoreFailure: 'refuse' } }),
    ]);
    expect([await deliver(trusting, 'e'), await deliver(trusting, 'e')]).toEqual([DELIVERED, DUPLICATE]);
    expect(trusting.output()).not.toMatch(/certificate/);
    expect(await fails(other)).toMatchObject({ problem: expect.stringMatching(/certificate/) });
    expect(await deliver(other, 'other')).toEqual(REFUSED);
  });

  test('the first event after a start, or after a reload that adds `once`, is looked up', async ({
    deliverer,
    redis,
  }) => {
    const once = { store: (await redis('redis-server')).url };
    const known = await deliverer({ once });
    expect(await deliver(known, 'e')).toEqual(DELIVERED);
    expect(await deliver(await deliverer({ once }), 'e')).toEqual(DUPLICATE);
    const late = await deliverer({ once, route: { maxBody: '1KiB' } });
    await reload(late, (config) => config.replace(/( +)maxBody: 1KiB\n/, '$1once: 1h\n'));
    expect(await deliver(late, 'e')).toEqual(DUPLICATE);
  });
});

describe.concurrent.each(HAS_SERVERS ? SERVERS : [])('with %s', (program) => {
  test('the password comes from a file, and a corrected one needs no restart', async ({
    deliverer,
    redis,
    directory,
  }) => {
    const { url: store } = await redis(program, { password: PASSWORD });
    const passwordFile = join(directory, 'password');
    await writeFile(passwordFile, `${PASSWORD}\n`);
    const right = await deliverer({ once: { store, passwordFile } });
    expect([await deliver(right, 'e'), await deliver(right, 'e')]).toEqual([DELIVERED, DUPLICATE]);
    const sinceStart = await failuresSince(right);
    expect([await deliver(right, 'next'), await deliver(right, 'next')]).toEqual([DELIVERED, DUPLICATE]);
    expect(await sinceStart()).toBe(0);

    await writeFile(passwordFile, `not-${PASSWORD}`);
    const wrong = await deliverer({ once: { store, passwordFile } });
    expect(await fails(wrong)).toMatchObject({
      level: 'error',
      on_failure: 'forward',
      problem: expect.stringMatching(/WRONGPASS/),
    });
    expect([await deliver(wrong, 'other'), await failures(wrong)]).toEqual([DELIVERED, 2]); // neither leased nor recorded
    await replaceFile(passwordFile, `${PASSWORD}\r\n`);
    await isBack(wrong);
    expect([await deliver(wrong, 'e'), await deliver(right, 'other')]).toEqual([DUPLICATE, DUPLICATE]);
    expect(right.output() + wrong.output()).not.toContain(PASSWORD);
  });

  test('a stuck server delays the deliveries of one second and no later ones', async ({ events, deliverer, redis }) => {
    const server = await redis(program);
    const once = { store: server.url };
    const [going, refusing] = await Promise.all([
      deliverer({ once }),
      deliverer({ once: { ...once, onStoreFailure: 'refuse' } }),
    ]);
    expect(await deliver(going, 'before')).toEqual(DELIVERED);
    server.pause();
    const leaver = send(going, 'left');
    await inFlight(going, 1);
    leaver.leave();
    const first = await Promise.all([deliver(going, 'e'), deliver(refusing, 'refused')]);
    expect(first).toEqual([DELIVERED, REFUSED]);
    events.script('failed', give(500));
    const later = await Promise.all([
      deliver(going, 'later'),
      deliver(going, 'e'),
      deliver(going, 'failed'),
      deliver(refusing, 'refused'),
    ]);
    const failed = { status: 500, text: OK };
    expect(later).toEqual([DELIVERED, DUPLICATE, failed, REFUSED]);
    // At a second each, the test would time out.
    for (let nth = 0; nth < MANY; nth++) expect(await deliver(going, `one of many ${nth}`)).toEqual(DELIVERED);
    server.resume();
    await Promise.all([isBack(going), isBack(refusing)]);
    await eventually(() => remembered(server), 3 + MANY);
    // A lease that arrived too late does not block the retry.
    expect(await deliver(refusing, 'refused')).toEqual(DELIVERED);
    for (const event of ['before', 'e', 'later']) expect(await deliver(refusing, event)).toEqual(DUPLICATE);
    expect(await deliver(refusing, 'failed')).toEqual(DELIVERED);
    expect(events.times('left')).toBe(0);
    expect(await deliver(going, 'left')).toEqual(DELIVERED);
  });

  test('a server that goes away and comes back', async ({ events, deliverer, redis }) => {
    const server = await redis(program);
    const once = { store: server.url };
    const [going, refusing] = await Promise.all([
      deliverer({ once }),
      deliverer({ once: { ...once, onStoreFailure: 'refuse' } }),
    ]);
    const { act, answer } = held();
    events.script('under-way', act);
    const underWay = send(going, 'under-way');
    await events.reached('under-way');
    const [ofGoing, ofRefusing] = await Promise.all([failuresSince(going), failuresSince(refusing)]);
    await server.kill();
    expect(await Promise.all([fails(going), fails(refusing)])).toEqual([
      expect.objectContaining({ on_failure: 'forward' }),
      expect.objectContaining({ on_failure: 'refuse' }),
    ]);
    expect([await deliver(going, 'e'), await deliver(going, 'e')]).toEqual([DELIVERED, DUPLICATE]);
    const twins = await Promise.all([deliver(going, 'twins'), deliver(going, 'twins')]);
    expect(twins.map(({ text }) => text).sort()).toEqual([DUPLICATE.text, OK]);
    expect(await deliver(refusing, 'other')).toEqual(REFUSED);
    expect([await ofRefusing(), await ofGoing()]).toEqual([1, 4]);
    events.script('failed', give(500));
    expect(await deliver(going, 'failed')).toEqual({ status: 500, text: OK });
    expect(await ofGoing()).toBe(5); // never claimed, so there is nothing to release
    await server.start();
    await Promise.all([isBack(going), isBack(refusing)]);
    await eventually(() => remembered(server), 2);
    expect(await deliver(refusing, 'e')).toEqual(DUPLICATE);
    // Its lease was lost with the server, and was taken again.
    const twin = send(refusing, 'under-way');
    await inFlight(refusing, 1);
    answer(200);
    expect([await underWay.given, await twin.given]).toEqual([DELIVERED, DUPLICATE]);
    expect([events.times('e'), events.times('under-way')]).toEqual([1, 1]);
  });
});

describe.concurrent('the store client', () => {
  /** The scripts that a proxy had loaded by its end, as V8 reports them. */
  async function loaded(proxy: RunningProxy, directory: string): Promise<string> {
    await proxy.stop();
    const files = await readdir(directory);
    return (await Promise.all(files.map((file) => readFile(join(directory, file), 'utf8')))).join('');
  }

  test('is loaded only when the config asks for it', async ({ deliverer, directory }) => {
    const start = (name: string, options: object) =>
      deliverer({ ...options, env: { NODE_V8_COVERAGE: join(directory, name) } });
    const proxies = await Promise.all([
      start('without', { route: {}, once: { store: 'redis://127.0.0.1:1' } }),
      start('memory', {}),
      start('redis', { once: { store: 'redis://127.0.0.1:1' } }),
    ]);
    for (const proxy of proxies) expect(await deliver(proxy, 'e')).toEqual(DELIVERED);
    const [without, memory, redis] = await Promise.all(
      ['without', 'memory', 'redis'].map((name, nth) => loaded(proxies[nth] as RunningProxy, join(directory, name))),
    );
    // The bundle has no files of those names; the client and its caller are a chunk of their own.
    const [deliveries, anyOfIt, client] = PROGRAM.endsWith('.ts')
      ? ['src/once/memory.ts', /@redis\/client|src\/once\/redis/, /@redis\/client/]
      : ['dist/app-', /dist\/redis-/, /dist\/redis-/];
    for (const scripts of [without, memory]) expect(scripts).toContain(deliveries);
    for (const scripts of [without, memory]) expect(scripts).not.toMatch(anyOfIt);
    expect(redis).toMatch(client);
  });
});

/** A relay between a proxy and a server. After `blackhole`, open connections carry nothing and never end. */
async function startRelay(port: number): Promise<{ port: number; blackhole(): void; close(): void }> {
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    const onward = connect(port, '127.0.0.1');
    for (const socket of [client, onward]) {
      sockets.add(socket.on('error', () => {}).on('close', () => sockets.delete(socket)));
    }
    client.pipe(onward).pipe(client);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    blackhole() {
      for (const socket of sockets) socket.unpipe().pause();
    },
    close() {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}
