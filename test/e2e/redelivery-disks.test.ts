// The embedded store on disks that are slow, hang, are full or break: nothing else stops, each is told, and what was
// promised is delivered. A clock of the day that jumps forward by days gives each event one sending more.
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect } from 'vitest';
import { sendTo } from '../support/http/raw-client.ts';
import { faultyDisk } from '../support/machine/faulty-disk.ts';
import { haveTools } from '../support/machine/tools.ts';
import { runCommand } from '../support/proxy/command.ts';
import { eventually } from '../support/proxy/proxied.ts';
import type { RunningProxy } from '../support/proxy/proxy.ts';
import {
  test as base,
  DEFERRED,
  defer,
  deferred,
  deliver,
  deliveryBytes,
  nothingDeferred,
  recordsIn,
  redeliver,
  results,
  stopped,
  untaken,
} from '../support/redelivery/proxy.ts';

const test = base.extend('disk', ({ directory }) => faultyDisk(directory));

/** One sync after another, they would take longer than the store's second. */
const AT_ONCE = 50;

const FAILS = 'the store of deferred deliveries fails';
const told = (proxy: RunningProxy, problem: string) =>
  proxy.waitForLog((line) => line.msg === FAILS && String(line.problem).includes(problem), problem);

describe.skipIf(!haveTools('gcc'))('a disk', () => {
  test('that is slow, hangs or is unreadable costs no delivery', async ({ app, directory, disk, redeliverer }) => {
    const proxy = await redeliverer({ env: disk.env });
    app.answer = () => 503;
    await defer(proxy, 'before');
    disk.fault('hang');
    expect((await deliver(proxy, 'late')).status).toBe(503);
    await told(proxy, 'did not answer');
    const next = deliver(proxy, 'next');
    await eventually(() => app.bodies().includes('next'), true);
    disk.fault();
    expect(await next).toEqual(DEFERRED);
    await proxy.waitForLog(({ msg }) => String(msg).startsWith('a delivery was stored late'), 'that one was late');

    app.answer = () => 'reset';
    disk.fault('hang');
    const client = await sendTo(proxy, deliveryBytes('impatient'));
    await eventually(() => app.bodies().includes('impatient'), true);
    client.destroy();
    await proxy.waitForLog(
      ({ msg, status, reason }) => msg === 'request' && status === 499 && reason === 'client_closed',
    );
    disk.fault();
    app.answer = () => 200;
    await redeliver(proxy);
    await nothingDeferred(proxy);

    app.answer = () => 503;
    disk.fault('delay');
    const bodies = Array.from({ length: 300 }, (_, at) => `${at}`.padEnd(9000)); // more than SQLite keeps in memory
    // At most as many at once as a busy machine brings to the store within its second.
    for (let at = 0; at < bodies.length; at += AT_ONCE) {
      const answers = await Promise.all(bodies.slice(at, at + AT_ONCE).map((body) => deliver(proxy, body)));
      expect(answers).toEqual(Array(AT_ONCE).fill(DEFERRED));
    }
    disk.fault('unreadable');
    const before = app.requests.length;
    app.answer = () => 200;
    await redeliver(proxy);
    await told(proxy, 'disk I/O error');
    disk.fault();
    await eventually(async () => (await redeliver(proxy)) && (await deferred(proxy)).waiting, 0);
    expect(new Set(app.bodies().slice(before))).toEqual(new Set(bodies));
    await untaken(app, proxy, 'stays');
    expect((await proxy.stop()).code).toBe(0);
    disk.fault('torn');
    const again = await redeliverer({ env: disk.env });
    await told(again, 'deferred: EIO');
    disk.fault();
    app.answer = () => 200;
    await eventually(async () => (await redeliver(again)) && app.bodies().at(-1), 'stays');
    await nothingDeferred(again);
    const files = await readdir(directory, { recursive: true });
    expect(files.filter((name) => name.includes('aside'))).toEqual([]);
  });

  test.concurrent('that hangs holds up nothing; the process kills itself', async ({ app, disk, redeliverer }) => {
    const proxy = await redeliverer({ env: disk.env });
    app.answer = () => 503;
    await defer(proxy, 'before');
    disk.fault('hang');
    const [one, two] = await Promise.all([deliver(proxy, 'while it hangs'), deliver(proxy, 'the same time')]);
    expect([one.status, two.status]).toEqual([503, 503]);
    app.answer = () => 200;
    expect((await deliver(proxy, 'taken')).status).toBe(200);
    expect((await fetch(`${proxy.adminUrl}/`)).status).toBe(200);
    expect((await fetch(`${proxy.adminUrl}/readyz`)).status).toBe(200);
    await told(proxy, 'did not answer');
    proxy.signal('SIGTERM');
    expect(await proxy.exited).toEqual({ code: null, signal: 'SIGKILL' });
    const [line] = proxy.logs().filter(({ msg }) => String(msg).startsWith('a thread hangs'));
    expect(line).toMatchObject({ level: 'error', thread: 'the store of deferred deliveries' });
    disk.fault();
    const next = await redeliverer({ env: disk.env, config: { shutdown: { delay: '1m', grace: '1m' } } });
    await redeliver(next);
    await nothingDeferred(next);
    expect(app.bodies()).toContain('before');
    // It outlasts no second signal.
    app.answer = () => 503;
    disk.fault('hang');
    await deliver(next, 'while it hangs');
    next.signal('SIGTERM');
    await next.waitForLog(({ msg }) => msg === 'stopping');
    next.signal('SIGTERM');
    expect(await next.exited).toEqual({ code: 143, signal: null });
  });

  test.concurrent('that hangs ends commands within seconds', async ({ app, directory, disk, redeliverer }) => {
    const proxy = await redeliverer();
    await stopped(app, proxy, 'stored');
    const [id = ''] = await recordsIn(directory);
    disk.fault('hang');
    const env = { ...disk.env, ADMIN_PORT: String(proxy.adminPort) };
    const command = (...words: string[]) => runCommand(['deferred', ...words, '--config', proxy.configFile], { env });
    const ended = await command('drop', id);
    expect(ended).toMatchObject({ code: 1, stdout: '' });
    expect(ended.stderr).toMatch(/^entrupy-signature-proxy deferred: the store .* did not answer within 10000 ms\n$/);
    expect(await command('list')).toMatchObject({ code: 0, stdout: expect.stringContaining(id) }); // it writes nothing
    disk.fault();
    expect(await recordsIn(directory)).toEqual([id]);
  });

  test.concurrent('on which no damaged lock can be emptied is told', async ({ app, disk, directory, redeliverer }) => {
    const store = join(directory, 'sealed');
    await mkdir(join(store, 'deferred'), { recursive: true, mode: 0o700 });
    await writeFile(join(store, 'deferred', 'lock'), 'no lock', { mode: 0o600 });
    disk.fault('sealed');
    const proxy = await redeliverer({ env: disk.env, redelivery: { store } });
    await told(proxy, 'lock: file is not a database: nothing is lost, but it cannot be emptied (EROFS)');
    disk.fault();
    await untaken(app, proxy, 'stored');
  });

  test.concurrent('shared, full or broken: it keeps its promises', async ({ app, disk, directory, redeliverer }) => {
    disk.fault('nfs');
    const proxy = await redeliverer({ env: disk.env, redelivery: { store: join(directory, 'shared') } });
    app.answer = () => 503;
    expect((await deliver(proxy, 'a')).status).toBe(503);
    await told(proxy, 'network file system (NFS)');
    disk.fault();
    const promised = Array.from({ length: 20 }, (_, at) => `promised ${at}`);
    for (const body of promised) await defer(proxy, body);
    for (const [fault, problem] of [
      ['full', 'full'],
      ['broken', 'disk I/O error'],
    ] as const) {
      disk.fault(fault);
      expect((await deliver(proxy, 'x'.repeat(100_000))).status).toBe(503);
      await told(proxy, problem);
      await sleep(50); // while it is full, takes and sets fail too
      disk.fault();
      await defer(proxy, `after ${fault}`);
    }
    const before = app.requests.length;
    app.answer = () => 200;
    await redeliver(proxy);
    await eventually(async () => (await redeliver(proxy)) && (await deferred(proxy)).waiting, 0);
    const all = [...promised, 'after full', 'after broken'];
    expect([...new Set(app.bodies().slice(before))]).toEqual(expect.arrayContaining(all));
  });
});

const BODIES = ['one', 'two', 'three'];

describe.skipIf(!haveTools('gcc'))('a clock that jumps forward by days', () => {
  test('while the app refuses connections: what waits is tried, and kept', async ({ app, redeliverer, disk }) => {
    const proxy = await redeliverer({ env: disk.env });
    await untaken(app, proxy, ...BODIES);
    await app.close();
    const page = async () => (await fetch(`${proxy.adminUrl}/?refresh=off`)).text();
    await eventually(async () => />connect</.test(await page()), true);
    disk.fault('ahead');
    await redeliver(proxy); // does not wait for the next probe; with one each ten seconds the others would not end in time
    await eventually(async () => (await deferred(proxy)).expired, BODIES.length);
    expect(await results(proxy, 'expired')).toBe(BODIES.length);
  });
});
