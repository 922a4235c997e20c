// The life of the process: signals in, exit codes out, nothing lost in between.
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { Agent } from 'node:http';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { deliver } from '../support/deliveries/deliver.ts';
import { sign } from '../support/deliveries/signer.ts';
import { openClient, sendTo } from '../support/http/raw-client.ts';
import { delivery } from '../support/http/requests.ts';
import { post } from '../support/load/load.ts';
import { spawnTied } from '../support/machine/children.ts';
import { ownDirectory } from '../support/machine/files.ts';
import { freePort } from '../support/machine/free-port.ts';
import { inFlight } from '../support/proxy/at-rest.ts';
import { runCommand } from '../support/proxy/command.ts';
import { PROGRAM } from '../support/proxy/program.ts';
import { eventually, test, value } from '../support/proxy/proxied.ts';
import type { RunningProxy } from '../support/proxy/proxy.ts';
import { nothingDeferred } from '../support/redelivery/proxy.ts';
import { enough } from '../support/runner/patience.ts';

const stores = ownDirectory();
const BODY = '{"event":1}';
const SIGNATURE = sign(value('a'), BODY);
/** Longer than a test may take, so a stop that waits for it fails the test. */
const LONG = '5m';

const REQUEST = delivery(BODY, value('a'));

const ready = async (proxy: RunningProxy) => {
  const response = await fetch(`${proxy.adminUrl}/readyz`);
  return [response.status, ((await response.json()) as { causes?: readonly string[] }).causes];
};

/** A delivery that withholds its last byte until `rest`. */
const held = (proxy: RunningProxy, rest: Promise<unknown>) =>
  post({ url: `${proxy.url}/notify`, body: BODY, headers: { 'Entrupy-Signature': SIGNATURE }, holdUntil: rest });

/** No concurrent test gets it once the proxy has ended. */
const ownPort = async () => ({ listen: { port: await freePort() } });

describe.concurrent('SIGTERM', () => {
  test('unready at once, serves with Connection: close for the delay, then exits with 0', async ({ start }) => {
    const proxy = await start({ ...(await ownPort()), shutdown: { delay: enough(2) } });
    const kept = await sendTo(proxy, REQUEST);
    expect((await kept.response()).lines.join()).not.toMatch(/connection:/i);
    const pool = await Promise.all(Array.from({ length: 20 }, () => sendTo(proxy, REQUEST)));
    for (const client of pool) await client.response();
    proxy.signal('SIGTERM');
    await proxy.waitForLog(({ msg }) => msg === 'stopping');
    expect(await ready(proxy)).toEqual([503, ['draining']]);
    expect((await fetch(`${proxy.adminUrl}/livez`)).status).toBe(200);
    await kept.send(REQUEST);
    expect((await kept.response()).lines).toContain('Connection: close');
    expect(await kept.rest()).toEqual(Buffer.alloc(0));
    // Idle ones end while new ones are served: one that ended with the process would lose a request in transit.
    await Promise.race(pool.map((client) => client.rest()));
    expect(await deliver(proxy, 'a')).toBe(200);
    expect((await proxy.exited).code).toBe(0);
    expect((await post({ url: proxy.url, body: '' })).trouble).toBe('ECONNREFUSED');
  });

  test('what was sent and not read yet is answered; idle and silent connections do not delay it', async ({ start }) => {
    const proxy = await start({ ...(await ownPort()), shutdown: { grace: LONG } });
    const rest = Promise.withResolvers<void>();
    const sent = [held(proxy, rest.promise), held(proxy, rest.promise)];
    await inFlight(proxy, 2);
    const silent = await openClient(proxy);
    const half = await sendTo(proxy, REQUEST.slice(0, 30));
    const agent = new Agent({ keepAlive: true });
    await post({ url: proxy.url, body: BODY, agent });
    const clients = await Promise.all(Array.from({ length: 20 }, () => openClient(proxy)));
    await eventually(async () => (await proxy.metrics()).get('entrupy_proxy_connections'), 25);
    // While stopped, it gets the signal and the requests at once when it resumes.
    proxy.signal('SIGSTOP');
    await Promise.all(clients.map((client) => client.send(REQUEST)));
    proxy.signal('SIGTERM');
    proxy.signal('SIGCONT');
    const responses = await Promise.all(clients.map((client) => client.response()));
    expect(responses.map(({ status }) => status)).toEqual(Array(20).fill(200));
    await eventually(async () => (await post({ url: proxy.url, body: '' })).trouble, 'ECONNREFUSED');
    rest.resolve();
    expect((await Promise.all(sent)).map(({ status }) => status)).toEqual([200, 200]);
    expect([(await proxy.exited).code, proxy.logs().at(-1)?.cut]).toEqual([0, 0]);
    for (const client of [silent, half]) client.destroy();
    agent.destroy();
  });

  test('what is in flight at the end of grace is answered, recorded; it exits with 0', async ({ start, upstream }) => {
    // An upstream that begins to respond on some routes, and never on the other.
    upstream.server.removeAllListeners('request').on('request', ({ url }, response) => {
      if (url !== '/notify') response.write('begun');
    });
    const url = { connections: 4, retryConnectFor: LONG, responseTimeout: LONG };
    const begun = [{ path: '/plain' }, { path: '/once', once: '1h' }, { path: '/open', action: 'forward' }];
    const proxy = await start({
      ...{ shutdown: { grace: '1s' }, log: { requests: 'all' }, routes: [{ path: '/notify' }, ...begun] },
      upstream: { url: upstream.url, ...url },
    });
    for (const { path } of begun) await (await sendTo(proxy, delivery(BODY, value('a'), { target: path }))).bytes(10);
    const atUpstream = deliver(proxy, 'a');
    await inFlight(proxy, 4);
    const waiting = deliver(proxy, 'a');
    const halfSent = await sendTo(proxy, REQUEST.slice(0, -1));
    await inFlight(proxy, 6);
    proxy.signal('SIGTERM');
    expect([await atUpstream, await waiting, (await halfSent.response()).status]).toEqual([503, 503, 408]);
    expect((await proxy.exited).code).toBe(0);
    expect(proxy.logs()).toContainEqual(expect.objectContaining({ level: 'warn', cut: 6 }));
    const tag = expect.stringMatching(/^[0-9a-f]{16}$/);
    const records = proxy.logs().filter(({ msg }) => msg === 'request');
    expect(records).toHaveLength(6);
    const stopped = { diagnosis: 'stopped', hint: 'the proxy stopped' };
    for (const record of [
      { status: 503, decision: 'rejected', reason: 'overloaded', body_sha256: tag },
      { status: 408, decision: 'rejected', reason: 'body_timeout', body_bytes: BODY.length - 1 },
      { route: '/plain', status: 200, decision: 'accepted', reason: 'none', fate: 'taken' },
      { route: '/once', status: 200, decision: 'accepted', reason: 'none', fate: 'taken' },
      { route: '/open', status: 200, decision: 'forwarded', reason: 'none' },
    ])
      expect(records).toContainEqual(expect.objectContaining({ ...record, ...stopped }));
    expect(proxy.output()).not.toContain('upstream_failure'); // the app is not to blame
    expect(proxy.logs().at(-1)).toMatchObject({ msg: 'stopped', lost: 3 });
  });

  test.skipIf(process.platform !== 'linux')(
    'during the start: it exits with 0 and without the delay',
    async ({ directory }) => {
      const config = join(directory, 'config.yaml');
      await writeFile(
        config,
        'listen: { host: 127.0.0.1, port: 0 }\nadmin: { host: 127.0.0.1, port: 0 }\nupstream: { url: "http://127.0.0.1:1" }\nshutdown: { delay: 2m }\n',
      );
      const child = spawnTied(process.execPath, [PROGRAM, 'serve', '--config', config], { env: {}, stdio: 'ignore' });
      const exited = new Promise<number | null>((resolve) => child.once('close', resolve));
      await untilCatchesHangup(child);
      child.kill('SIGTERM');
      expect(await exited).toBe(0);
    },
  );
});

/** Resolves once the signal handlers are installed: SIGHUP, signal 1, is the last. */
async function untilCatchesHangup({ pid }: ChildProcess): Promise<void> {
  for (;;) {
    const status = await readFile(`/proc/${pid}/status`, 'utf8');
    const caught = BigInt(`0x${/^SigCgt:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? '0'}`);
    if ((caught & 1n) === 1n) return;
  }
}

test.concurrent.for([
  ['SIGINT', 'SIGINT', 130, 'none'],
  ['SIGTERM', 'SIGTERM', 143, 'works'],
  ['SIGTERM', 'SIGINT', 130, 'is in use by another process'],
] as const)(
  '%s, then %s: ends at once with %i; the store: %s',
  async ([first, second, code, state], { start, upstream }) => {
    const store = join(stores, `${first}-${second}`);
    const redelivers = { routes: [{ path: '/notify', redeliver: '1h' }], redelivery: { store } };
    const config = { shutdown: { delay: LONG, grace: LONG }, ...(state !== 'none' && redelivers) };
    // Ends at once with the test.
    const other = state === 'is in use by another process' ? await start(redelivers) : null;
    if (other !== null) await nothingDeferred(other);
    const proxy = await start(config);
    if (other !== null) await proxy.waitForLog(({ msg }) => msg === 'the store of deferred deliveries fails');
    const app = upstream.server.removeAllListeners('request').once('request', (_, response) => response.write('begun'));
    await (await sendTo(proxy, REQUEST)).bytes(10); // what the app has begun to answer is taken
    const came = once(app, 'request');
    const sent = deliver(proxy, 'a').catch(() => {}); // never answered, so it delays a stop by SIGINT
    await came;
    proxy.signal(first);
    await proxy.waitForLog(({ msg }) => msg === 'stopping');
    proxy.signal(second);
    expect((await proxy.exited).code).toBe(code);
    expect(proxy.logs().at(-1)).toMatchObject({ level: 'error', msg: 'stopped', cut: 2, lost: 1 });
    await sent;
  },
);

test('SIGINT skips the delay; SIGUSR1 opens no debugger, which could show the secrets', async ({ start }) => {
  const proxy = await start({ shutdown: { delay: LONG } });
  proxy.signal('SIGUSR1');
  expect(await deliver(proxy, 'a')).toBe(200);
  proxy.signal('SIGHUP');
  await proxy.waitForLog(({ msg }) => msg === 'reloaded');
  proxy.signal('SIGINT');
  expect((await proxy.exited).code).toBe(0);
  expect(proxy.output()).not.toMatch(/debugger|inspector/i);
});

describe.concurrent('/-/drain', () => {
  test('unready; each response closes its connection, save one that had begun', async ({ start, upstream }) => {
    const finish = Promise.withResolvers<void>();
    upstream.server.removeAllListeners('request').on('request', async (request, response) => {
      request.resume();
      response.write('begun');
      await finish.promise;
      response.end();
    });
    const proxy = await start();
    const early = await sendTo(proxy, REQUEST);
    await early.bytes(1);
    expect((await fetch(`${proxy.adminUrl}/-/drain`)).status).toBe(200);
    finish.resolve();
    // Its client was not told.
    expect((await early.response()).lines.join()).not.toMatch(/connection:/i);
    await early.send(REQUEST);
    expect(await ready(proxy)).toEqual([503, ['draining']]);
    for (const client of [early, await sendTo(proxy, REQUEST)]) {
      const response = await client.response();
      expect([response.status, response.lines.includes('Connection: close')]).toEqual([200, true]);
      expect(await client.rest()).toEqual(Buffer.alloc(0));
    }
    const refused = await sendTo(proxy, REQUEST.replace('SHA256', 'MD5'));
    expect((await refused.response()).lines).toContain('Connection: close');
    refused.destroy();
    expect(await (await fetch(proxy.adminUrl)).text()).toContain('Draining');
  });
});

test('a port in use: a start exits with 1, and names it; after a kill -9 it starts', async ({ start, upstream }) => {
  const given = {
    ...(await ownPort()),
    admin: { port: await freePort() },
    upstream: { url: upstream.url },
    routes: [{ path: '/notify', once: '1h', redeliver: '1h' }],
    once: { store: 'redis://127.0.0.1:1' },
    redelivery: { store: join(stores, 'first') },
  };
  const proxy = await start(given);
  const config = await readFile(proxy.configFile, 'utf8');
  const other = join(proxy.directory, 'other.yaml');
  const ends = async () => {
    for (const [taken, free] of [
      [proxy.port, proxy.adminPort],
      [proxy.adminPort, proxy.port],
    ]) {
      await writeFile(other, config.replace(`port: ${free}`, 'port: 0').replace('/first', '/other'));
      const { code, stderr } = await runCommand(['serve', '--config', other]);
      const says = `^cannot listen on 127.0.0.1 port ${taken}: EADDRINUSE: the port is in use .*LISTEN_PORT`;
      expect([code, stderr]).toEqual([1, expect.stringMatching(says)]);
    }
    return readdir(stores);
  };
  // Also where its stores are open by then, which they may not be on a busy machine.
  await eventually(ends, expect.arrayContaining(['other']));
  const rest = Promise.withResolvers<void>();
  const inside = held(proxy, rest.promise);
  await inFlight(proxy, 1);
  expect(await deliver(proxy, 'a')).toBe(200);
  proxy.signal('SIGKILL');
  await proxy.exited;
  rest.resolve();
  expect((await inside).status).toBe(0);
  const again = await start(given);
  expect(await deliver(again, 'a')).toBe(200);
  expect(await ready(again)).toEqual([200, undefined]);
  expect((await again.metrics()).get('entrupy_proxy_reloads_total{result="failure"}')).toBe(0);
  expect(upstream.requests.length).toBe(2);
});
