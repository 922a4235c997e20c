// No delivery hangs on the store of delivered events: onStoreFailure decides immediately, and an answer that makes no sense is a
// failure of the store, too, never a twin to wait for. What ends without a word is found by time alone: a connection that
// carries nothing any more after 10 s, the lease of a dead proxy after 15 s.
import { execFileSync } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import type { ServerResponse } from 'node:http';
import { connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { eventKey } from '../../src/once/claims.ts';
import { replaceFile } from '../support/machine/files.ts';
import { listening } from '../support/machine/listening.ts';
import { startAnsweringStore } from '../support/once/answering-store.ts';
import { bodyOf, DELIVERED, DUPLICATE, deliver, type Given, give, held, OK, send } from '../support/once/events.ts';
import { failures, inTime, keysOf, remembering, test } from '../support/once/once.ts';
import { HAS_SERVERS, REDIS_OR_VALKEY, type RedisServer, SERVERS, VALKEY_OR_REDIS } from '../support/once/redis.ts';
import { inFlight, untilMetrics } from '../support/proxy/at-rest.ts';
import { eventually, starting } from '../support/proxy/proxied.ts';
import type { RunningProxy } from '../support/proxy/proxy.ts';
import { reload } from '../support/proxy/reloads.ts';
import { createAuthority } from '../support/tls/certificates.ts';

const REFUSED = { status: 503, text: '{"error":"overloaded"}' };
const PASSWORD = 'a-password-that-nobody-may-print';
const FAILS = 'the store of delivered events fails';
const BACK = 'the store of delivered events works again';
const MANY = 40;
/** The client's own word comes after ten seconds, which only a busy machine needs. */
const STUCK = /did not answer within 1000 ms|Socket timeout/;

/** Counts from now on: on a busy machine the first event after a start may find the store not connected yet. */
const failuresSince = async (proxy: RunningProxy) => {
  const before = await failures(proxy);
  return async () => (await failures(proxy)) - before;
};
const problemOf = async (proxy: RunningProxy) => String((await proxy.status()).once?.problem);

/** Does this; resolves once the proxy has logged this message anew: it may have logged it before. */
async function logged(proxy: RunningProxy, msg: string, act: () => unknown): Promise<void> {
  const count = () => proxy.logs().filter((line) => line.msg === msg).length;
  const known = count();
  await Promise.all([proxy.waitForLog(() => count() > known, msg), act()]);
}

/** Milliseconds until the only lease in it ends: what was delivered is remembered for longer. */
async function leaseLeft(server: RedisServer): Promise<number> {
  const times = (await keysOf(server)).map(async (key) => Number(await server.ask('PTTL', key)));
  return Math.min(...(await Promise.all(times)));
}

/** A relay between a proxy and a server. After `blackhole`, open connections carry nothing and never end. */
async function startRelay(port: number) {
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    const onward = connect(port, '127.0.0.1');
    for (const socket of [client, onward]) sockets.add(socket.on('error', () => {}));
    client
      .on('close', () => onward.destroy())
      .pipe(onward)
      .pipe(client);
  });
  const blackhole = () => {
    for (const socket of sockets) socket.unpipe().pause();
  };
  return { ...(await listening(server)), blackhole };
}

// The slowest first: so many run at once.
describe.skipIf(!HAS_SERVERS).concurrent('what is found by time alone', () => {
  test('the lease of a dead proxy ends; a twin at another goes ahead', async ({ events, deliverer, redis }) => {
    const server = await redis(REDIS_OR_VALKEY);
    const once = { store: server.url };
    // The other refuses what its store does not answer in time: it goes ahead with a lease alone.
    const [one, two] = await Promise.all([
      deliverer({ once }),
      deliverer({ once: { ...once, onStoreFailure: 'refuse' } }),
    ]);
    for (const proxy of [one, two]) await remembering(proxy);
    let arrived = 0;
    const takes = (response: ServerResponse) => {
      arrived = Date.now();
      give(200)(response);
    };
    // Again where a busy machine's store missed its second: without a lease nothing ends.
    const { event, first } = await inTime([one], async (nth) => {
      const event = `orphan ${nth}`;
      events.script(event, () => {}, takes);
      const first = send(one, event);
      await events.reached(event);
      return { event, first };
    });
    one.signal('SIGKILL');
    expect((await first.given).status).toBe(0);
    const now = Date.now();
    const ends = now + (await leaseLeft(server));
    await eventually(() => deliver(two, event), DELIVERED);
    expect(arrived).toBeGreaterThan(ends - 100); // clocks of two processes
    expect(events.times(event)).toBe(2);
  });

  test('a lease is renewed in flight, unless another delivered the event', async ({ events, deliverer, redis }) => {
    const server = await redis(VALKEY_OR_REDIS);
    const patient = { responseTimeout: '5m', idleTimeout: '5m' };
    const proxy = await remembering(await deliverer({ once: { store: server.url }, upstream: patient }));
    const [taken, kept] = [held(), held()];
    events.script('taken', taken.act);
    const first = send(proxy, 'taken');
    await events.reached('taken');
    const hashed = eventKey('/events/taken', Buffer.from(bodyOf('taken')));
    const [key = ''] = (await keysOf(server)).filter((each) => each.endsWith(hashed));
    expect(key).not.toBe('');
    await server.ask('SET', key, 'delivered', 'PX', '60000');
    events.script('kept', kept.act);
    const second = send(proxy, 'kept');
    await events.reached('kept');
    const lease = (await keysOf(server)).find((each) =>
      each.endsWith(eventKey('/events/kept', Buffer.from(bodyOf('kept')))),
    );
    const seen: number[] = [];
    const isRenewed = async () => {
      seen.push(Number(await server.ask('PTTL', lease ?? '')));
      return seen.some((left, at) => left > (seen[at - 1] ?? left));
    };
    await eventually(isRenewed, true);
    expect(await server.ask('GET', key)).toBe('delivered');
    for (const { answer } of [taken, kept]) answer(200);
    expect([await first.given, await second.given]).toEqual([DELIVERED, DELIVERED]);
  });

  test('a server that vanishes behind an open connection is left for the next one', async ({ deliverer, redis }) => {
    const server = await redis(REDIS_OR_VALKEY);
    const relay = await startRelay(server.port);
    const proxy = await remembering(await deliverer({ once: { store: `redis://127.0.0.1:${relay.port}` } }));
    relay.blackhole();
    expect(await deliver(proxy, 'remembered')).toEqual(DELIVERED);
    await remembering(proxy);
    await relay.close();
  });

  test('a command that its user may not use is named; one that may forget is told', async ({ deliverer, redis }) => {
    const server = await redis(REDIS_OR_VALKEY);
    const rights = ['on', 'nopass', '~entrupy-once:*', '+eval', '+get', '+set', '+info', '+select'];
    await server.ask('ACL', 'SETUSER', 'hooks', ...rights);
    await server.ask('CONFIG', 'SET', 'maxmemory-policy', 'volatile-lru');
    const proxy = await deliverer({ once: { store: server.url.replace('//', '//hooks@') } });
    await eventually(() => problemOf(proxy), expect.stringMatching(/'del'|\(DEL\)/));
    await logged(proxy, BACK, () => server.ask('ACL', 'SETUSER', 'hooks', '+del'));
    const { once, advice } = await proxy.status();
    expect(once).toMatchObject({ isKnown: true, problem: null, evicts: 'volatile-lru' });
    expect(advice.flatMap((item) => [item, ...item.follows]).map(({ id, state }) => `${state} ${id}`)).toContain(
      'warning store-evicts',
    );
  });
});

describe.skipIf(!HAS_SERVERS).concurrent.each(SERVERS)('with %s', (program) => {
  test('what is wrong with the password’s file is told, until it is right', async ({ deliverer, redis, directory }) => {
    const { url: store } = await redis(program, { password: PASSWORD });
    const passwordFile = join(directory, 'password');
    const proxy = await deliverer({ once: { store, passwordFile } });
    const problem = `once.passwordFile ${passwordFile}: it does not exist`;
    expect(await proxy.waitForLog(({ msg }) => msg === FAILS)).toMatchObject({ level: 'error', on_failure: 'forward' });
    await eventually(() => problemOf(proxy), problem);
    expect([await deliver(proxy, 'e'), await failures(proxy)]).toEqual([DELIVERED, 2]); // neither leased nor recorded
    execFileSync('mkfifo', [passwordFile]);
    await eventually(() => problemOf(proxy), `once.passwordFile ${passwordFile}: it is not a regular file`);
    expect(await deliver(proxy, 'e')).toEqual(DELIVERED);
    await replaceFile(passwordFile, '');
    await eventually(() => problemOf(proxy), `once.passwordFile ${passwordFile}: it is empty`);
    expect(await deliver(proxy, 'e')).toEqual(DELIVERED);
    await writeFile(passwordFile, `not-${PASSWORD}`);
    await eventually(async () => /WRONGPASS/.test(await problemOf(proxy)), true);
    expect(await deliver(proxy, 'e')).toEqual(DELIVERED);
    await logged(proxy, BACK, () => replaceFile(passwordFile, `${PASSWORD}\r\n`));
    await remembering(proxy);
    expect(proxy.output()).not.toContain(PASSWORD);
  });

  test('a delivery whose client left while the server was stuck is not sent', async ({ events, deliverer, redis }) => {
    const server = await redis(program);
    const proxy = await deliverer({ once: { store: server.url } });
    await remembering(proxy);
    // On a busy machine the second may be over before the proxy sees that the client left: that event is sent.
    for (let nth = 0; nth === 0 || events.times(`left ${nth - 1}`) > 0; nth++) {
      server.pause();
      const leaver = send(proxy, `left ${nth}`);
      await untilMetrics(proxy, ['requests_in_flight'], ([found]) => found === 1 || events.times(`left ${nth}`) === 1);
      leaver.leave();
      await inFlight(proxy, 0);
      server.resume();
      await eventually(() => deliver(proxy, `after ${nth}`), DUPLICATE);
    }
  });

  test('a stuck server delays those of one second; one that left comes back', async ({ events, deliverer, redis }) => {
    const server = await redis(program);
    const once = { store: server.url };
    const both = await Promise.all([deliverer({ once }), deliverer({ once: { ...once, onStoreFailure: 'refuse' } })]);
    const [going, refusing] = both;
    for (const proxy of both) await remembering(proxy);
    expect(await deliver(going, 'before')).toEqual(DELIVERED);
    server.pause();
    const first = await Promise.all([deliver(going, 'stuck'), deliver(refusing, 'refused')]);
    expect(first).toEqual([DELIVERED, REFUSED]);
    events.script('failed', give(500), give(500));
    const failed = { status: 500, text: OK };
    const later = await Promise.all([
      deliver(going, 'later'),
      deliver(going, 'stuck'),
      deliver(going, 'failed'),
      deliver(refusing, 'refused'),
    ]);
    expect(later).toEqual([DELIVERED, DELIVERED, failed, REFUSED]);
    // At a second each, the test would time out.
    for (let nth = 0; nth < MANY; nth++) expect(await deliver(going, `one of many ${nth}`)).toEqual(DELIVERED);
    server.resume();
    await eventually(() => deliver(refusing, 'before'), DUPLICATE);
    // It works, and stays told until it was quick for a minute.
    for (const proxy of both) expect(await problemOf(proxy)).toMatch(STUCK);
    expect(await deliver(refusing, 'failed')).toEqual(failed);
    await remembering(going);

    const [ofGoing, ofRefusing] = await Promise.all([failuresSince(going), failuresSince(refusing)]);
    await server.kill();
    for (const proxy of both) await eventually(() => problemOf(proxy), expect.not.stringMatching(STUCK));
    expect([await deliver(going, 'e'), await deliver(going, 'e')]).toEqual([DELIVERED, DELIVERED]);
    expect(await deliver(refusing, 'other')).toEqual(REFUSED);
    expect([await ofRefusing(), await ofGoing()]).toEqual([1, 4]);
    await server.start();
    await eventually(() => deliver(refusing, 'e'), DELIVERED); // not known before
    for (const proxy of both) await remembering(proxy); // one may be connected again later than the other
    // An outage has its start in the log, once: on a busy machine another one comes before.
    for (const { logs } of both)
      expect(logs().findLast(({ msg }) => msg === FAILS)?.problem).toEqual(expect.stringMatching(STUCK));
  });
});

describe.skipIf(!HAS_SERVERS).concurrent('with a server that is not reachable, or not yet', () => {
  test('a missing password is told, and TLS needs its private CA', async ({ deliverer, redis, directory }) => {
    const locked = await redis(REDIS_OR_VALKEY, { password: PASSWORD });
    const authority = createAuthority(directory, 'ca');
    const { url: store } = await redis(REDIS_OR_VALKEY, { tls: authority.issue('store', { names: ['IP:127.0.0.1'] }) });
    const [none, trusting, other] = await Promise.all([
      deliverer({ once: { store: locked.url } }),
      deliverer({ once: { store }, env: { NODE_EXTRA_CA_CERTS: authority.caFile } }),
      deliverer({ once: { store, onStoreFailure: 'refuse' } }),
    ]);
    await eventually(() => problemOf(none), expect.stringMatching(/NOAUTH/));
    expect(await deliver(none, 'e')).toEqual(DELIVERED);
    await remembering(trusting);
    expect(trusting.output()).not.toMatch(/certificate/);
    await eventually(() => problemOf(other), expect.stringMatching(/certificate/));
    expect(await deliver(other, 'other')).toEqual(REFUSED);
  });

  test('the first event after a start, or a reload that adds `once`, is looked up', async ({ deliverer, redis }) => {
    const server = await redis(REDIS_OR_VALKEY);
    const once = { store: server.url };
    await server.ask('SET', `entrupy-once:${eventKey('/events/e', Buffer.from(bodyOf('e')))}`, 'delivered');
    /** Of a start whose store answered within its second, which a busy machine may exceed. */
    const first = async (start: () => Promise<RunningProxy>): Promise<Given> => {
      const proxy = await start();
      const answer = await deliver(proxy, 'e');
      return (await failures(proxy)) === 0 ? answer : first(start);
    };
    expect(await first(() => deliverer({ once }))).toEqual(DUPLICATE);
    const late = async () => {
      const proxy = await deliverer({ once, route: { maxBody: '1KiB' } });
      await reload(proxy, (config) => config.replace(/( +)maxBody: 1KiB\n/, '$1once: 1h\n'));
      return proxy;
    };
    expect(await first(late)).toEqual(DUPLICATE);
  });
});

const isCommit = (script: string) => script.includes(`'PX', ARGV[1])`);
const isTest = (script: string) => script.includes('maxmemory_policy');
const isClaim = (script: string) => script.includes(`'busy'`);
/** Short, so that code that waits for a twin fails by its answer, not by the test's time limit. */
const upstream = { retryConnectFor: '10ms', responseTimeout: '5s', idleTimeout: '5s' };

const FIRST = '+first\r\n';

test.extend('storeThat', starting(startAnsweringStore)).concurrent.for([
  { onStoreFailure: 'forward', given: DELIVERED, claims: ['+OK\r\n', '$-1\r\n', FIRST] },
  { onStoreFailure: 'refuse', given: REFUSED, claims: ['+OK\r\n', '$-1\r\n'] },
])(
  'an answer that makes no sense is a failure: onStoreFailure ($onStoreFailure) decides',
  async ({ onStoreFailure, given, claims }, { storeThat, deliverer }) => {
    // A server that answers everything alike is never available.
    let answer = (_script: string) => '+OK\r\n';
    let tested = '+OK\r\n';
    const { url: store } = await storeThat((script) => (isTest(script) ? tested : answer(script)));
    const proxy = await deliverer({ once: { store, onStoreFailure }, upstream });
    const noSense = 'it gave an answer that makes no sense';
    expect(await deliver(proxy, 'alike')).toEqual(given);
    await eventually(() => problemOf(proxy), noSense);
    for (const claimed of claims) {
      const after = async () => [await deliver(proxy, claimed), await problemOf(proxy)];
      tested = '-another problem\r\n'; // else the problem may be over before a busy machine asks
      await eventually(after, [expect.anything(), 'another problem']);
      tested = '$0\r\n\r\n';
      // A copy of an event may be delivered again where its commit is answered so.
      const committed = claimed === FIRST ? '+OK\r\n' : ':1\r\n';
      answer = (script) => (isClaim(script) ? claimed : isCommit(script) ? committed : ':1\r\n');
      await eventually(after, [given, noSense]);
    }
  },
);
