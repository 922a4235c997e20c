// Limits hold, and honest clients do not pay for others: when one is reached, silent, slow and idle clients make room.
import { readFile } from 'node:fs/promises';
import type { Socket } from 'node:net';
import { afterEach, describe, expect } from 'vitest';
import { endClients, exchange, openClient, type RawClient, sendTo } from '../support/http/raw-client.ts';
import { get, request, signatureLine } from '../support/http/requests.ts';
import { values } from '../support/http/response-parser.ts';
import { inFlight, untilAtRest, untilMetrics } from '../support/proxy/at-rest.ts';
import { test, value } from '../support/proxy/proxied.ts';
import type { RunningProxy } from '../support/proxy/proxy.ts';
import { change } from '../support/proxy/reloads.ts';
import { shared } from '../support/proxy/shared.ts';
import { waitFor } from '../support/runner/wait-for.ts';
import { OK, startLenientUpstream } from '../support/upstream/lenient-upstream.ts';
import { startStreamingUpstream } from '../support/upstream/streams.ts';

const KIB = 1024;
const MIB = 1024 * KIB;

const ROUTES = { routes: [{ path: '/notify' }, { path: '/open/*', action: 'forward' }] };
const on = shared(startLenientUpstream, ROUTES);
const streaming = shared(startStreamingUpstream, ROUTES);

const GET = 'GET /open/0 HTTP/1.1\r\nHost: h\r\n\r\n';

const many = <T>(count: number, make: (index: number) => Promise<T>): Promise<T[]> =>
  Promise.all(Array.from({ length: count }, (_, index) => make(index)));

const signed = (body: string | Buffer) =>
  request(['POST /notify HTTP/1.1', 'Host: h', signatureLine(body, value('a')), `Content-Length: ${body.length}`]);

async function expectServed(proxy: RunningProxy): Promise<void> {
  const body = '{"honest":true}';
  expect((await exchange(proxy.port, signed(body) + body)).status).toBe(200);
}

/** From now on these limits hold, and the defaults of the others. */
const limit = (limits: object, proxy = on.proxy, keepAlive = '75s') =>
  change(proxy, ({ listen }) => ({ listen: { ...listen, keepAlive }, limits }));

afterEach(async () => {
  endClients();
  for (const { proxy } of [on, streaming]) await untilMetrics(proxy, ['connections'], ([open]) => open === 0);
});

describe('connections', () => {
  test.each([
    ['GET /open', 'requests_total{route="unmatched",decision="rejected",reason="header_timeout"}'],
    ['', 'connections_refused_total{cause="limit"}'],
  ])(
    'over the limit a new connection replaces one without a complete head, which counts once (%j)',
    async (sent, series) => {
      await limit({ connections: 8 });
      const ends = async () => {
        const all = await on.proxy.metrics();
        return [...all].filter(([name, amount]) => amount > 0 && /header_timeout|connections_refused/.test(name));
      };
      const before = new Map(await ends());
      const silent = await many(8, () => sendTo(on.proxy, sent));
      await untilMetrics(on.proxy, ['connections'], ([open]) => open === 8);
      for (let count = 0; count < 4; count++) await expectServed(on.proxy);
      await silent[0]?.rest(); // the oldest is gone
      for (const client of silent) client.destroy();
      await untilAtRest(on.proxy);
      const grown = (await ends()).filter(([name, amount]) => amount > (before.get(name) ?? 0)).map(([name]) => name);
      expect(grown).toEqual([`entrupy_proxy_${series}`]);
    },
  );

  test('of more deliveries at once than connections may be open none is counted as left by its sender', async () => {
    await limit({ connections: 8 });
    const ends = async () => {
      const all = await on.proxy.metrics();
      const sum = (of: RegExp) => [...all].reduce((total, [name, amount]) => total + (of.test(name) ? amount : 0), 0);
      return [
        sum(/requests_total.*notify.*accepted/),
        sum(/connections_refused|client_closed/),
        sum(/fate="abandoned"/),
      ];
    };
    const [served = 0, , left] = await ends();
    const answers = await many(48, () => exchange(on.proxy.port, `${signed('{}')}{}`).then(String, () => 'cut'));
    await untilAtRest(on.proxy);
    const whole = answers.filter((answer) => answer !== 'cut').length;
    const [servedNow = 0, , leftNow] = await ends();
    expect([servedNow - served, leftNow]).toEqual([whole, left]);
  });

  test('a client that leaves within a head is counted: it has begun a request', async () => {
    await limit({});
    const series = 'requests_total{route="unmatched",decision="rejected",reason="client_closed"}';
    const before = (await on.proxy.metrics()).get(`entrupy_proxy_${series}`) ?? Number.NaN;
    const client = await sendTo(on.proxy, `${GET}GET /open`); // one read: with the response to the first, the second has begun
    expect((await client.response()).status).toBe(200);
    client.socket.resetAndDestroy();
    await untilMetrics(on.proxy, [series], ([left]) => left === before + 1);
  });

  test.each([
    ['/notify', signed('x'.repeat(1000))],
    ['/open/*', 'POST /open/x HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\n'],
  ])('over the limit a body that hardly moves makes room: 408, recorded as ours (%s)', async (route, head) => {
    await limit({ connections: 4 });
    const slow = await many(4, () => sendTo(on.proxy, `${head}x`));
    await inFlight(on.proxy, 4);
    await expect.poll(() => expectServed(on.proxy).then(() => 'served', String), { interval: 200 }).toBe('served');
    const refused = await Promise.race(slow.map((client) => client.response()));
    expect([refused.status, refused.body.toString()]).toEqual([408, '{"error":"body_timeout"}']);
    const series = `requests_total{route="${route}",decision="rejected",reason="body_timeout"}`;
    await untilMetrics(on.proxy, [series], ([ended = 0]) => ended >= 1);
  });

  test('one that sends only line endings, or nothing, is closed, though it is never idle', async () => {
    await limit({ headersTimeout: '1s' }, on.proxy, '1s');
    const silent = await openClient(on.proxy);
    const client = await sendTo(on.proxy, GET);
    expect((await client.response()).status).toBe(200);
    const drip = setInterval(() => client.socket.write('\r\n'), 100);
    await client.rest().finally(() => clearInterval(drip));
    expect((await silent.rest()).length).toBe(0);
  });

  test('one older than connectionAge gets Connection: close with its next response', async () => {
    await limit({ connectionAge: '1s' });
    const opened = performance.now();
    const client = await openClient(on.proxy);
    let answered: readonly string[] = [];
    for (let at = 0; answered.length === 0; at += 300) {
      await new Promise((resolve) => setTimeout(resolve, at)); // past connectionAge in the end
      await client.send(GET);
      answered = values((await client.response()).lines, 'connection');
      if (performance.now() < opened + 1000) expect(answered).toEqual([]);
    }
    expect(answered).toEqual(['close']);
    await client.rest();
  });
});

test.each([
  ['headersTimeout', 'GET /open/0 HTTP/1.1\r\nHost: h\r\n', 'a: b\r\n', 'header_timeout'],
  ['bodyTimeout', signed('x'.repeat(1000)), 'x', 'body_timeout'],
])('a drip has %s in all, and gets its 408', async (key, head, piece, error) => {
  await limit({ [key]: '1s' });
  const client = await sendTo(on.proxy, head);
  const drip = setInterval(() => client.socket.write(piece), 50);
  const response = await client.response().finally(() => clearInterval(drip));
  expect([response.status, response.body.toString()]).toEqual([408, JSON.stringify({ error })]);
  await untilAtRest(on.proxy);
});

const PIECE = 'x'.repeat(400 * KIB);

test('a budget full of slow verified bodies: the slowest gets 503, honest ones are served', async () => {
  const { proxy } = streaming;
  await limit({ bufferedBytes: '8MiB', bodyTimeout: '10m' }, proxy);
  // All but the last byte: so each holds as many bytes as it declares, whatever the reads in which they come. 18 do not fit.
  const slow = await many(20, () => sendTo(proxy, signed(PIECE) + PIECE.slice(1)));
  // Less is free than an honest one needs, and stays so: who ends another makes room for 400 KiB, and held as many before.
  await untilMetrics(proxy, ['buffered_bytes'], ([held = 0]) => held > 6 * MIB);
  expect((await Promise.any(slow.map((client) => client.response()))).status).toBe(503);
  const big = 'honest'.padEnd(MIB, '.');
  // A busy machine may hold up an honest one for so long that it is the slowest: then its sender tries again.
  await many(4, () => waitFor(async () => expect((await exchange(proxy.port, signed(big) + big)).status).toBe(200)));
  for (let count = 0; count < 10; count++) await waitFor(() => expectServed(proxy));
});

// While it waits for a slot: with its bytes gone, the upstream would get an empty body that looks whole.
test('a streamed body without room, at once or at its end: 503, and it stays here', async ({ start, lenient: app }) => {
  const upstream = { url: app.url, connections: 1 };
  const proxy = await start({ upstream, unmatched: 'forward', limits: { maxBody: '1KiB', bufferedBytes: '1KiB' } });
  for (const first of ['', '3\r\nabc\r\n']) {
    const held = Promise.withResolvers<() => void>();
    app.script((socket) => held.resolve(() => socket.write(OK)));
    const holder = await sendTo(proxy, GET);
    const finish = await held.promise;
    const client = await sendTo(proxy, 'POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n');
    await client.send(first);
    await client.send(`7d0\r\n${'x'.repeat(2000)}\r\n0\r\n\r\n`);
    expect(await client.response()).toMatchObject({ status: 503, body: Buffer.from('{"error":"overloaded"}') });
    finish();
    expect((await holder.response()).status).toBe(200);
    for (const one of [client, holder]) one.destroy();
    await untilAtRest(proxy);
  }
  expect(app.list()).toEqual(['GET /open/0', 'GET /open/0']);
  expect(app.leftovers()).toEqual([]);
});

test.skipIf(process.platform !== 'linux').for([
  [64, 11],
  [128, 54],
] as const)(
  'of %d files that a process may open it leaves enough to the app: of its %d clients none ends unseen',
  async ([files, most], { start, lenient: app }) => {
    // A busy machine takes longer than the five seconds for which a request waits for a slot.
    const proxy = await start({ upstream: { url: app.url, retryConnectFor: '5m' } }, { openFiles: files });
    expect(await readFile(`/proc/${proxy.pid}/limits`, 'utf8')).toMatch(new RegExp(`Max open files +${files} `));
    await proxy.waitForLog(({ key, problem }) => key === 'limits.connections' && /ulimit/.test(String(problem)));
    const held: Socket[] = [];
    app.script((socket) => held.push(socket));
    const statusOf = (nth: number) =>
      exchange(proxy.port, signed(`${nth}`) + nth).then(
        ({ status }) => status,
        () => 'ended',
      );
    const ends = many(2 * files, statusOf);
    await untilMetrics(proxy, ['connections_refused_total{cause="limit"}'], ([ended]) => ended === 2 * files - most);
    app.answer(() => OK);
    for (const socket of held) socket.write(OK);
    const taken = (await ends).filter((end) => end !== 'ended');
    expect(taken).toEqual(Array(most).fill(200));
    expect((await fetch(`${proxy.adminUrl}/livez`)).status).toBe(200);
  },
);

const LIVEZ = get('/livez');
/** More than half of the connections that the admin port takes. */
const CROWD = 33;

async function keptBy(client: RawClient): Promise<boolean> {
  await client.send(LIVEZ);
  const { status, lines } = await client.response();
  expect(status).toBe(200);
  return !lines.includes('Connection: close');
}

test('a crowded admin port ends each connection after its answer, to leave room for probes', async ({ start }) => {
  const { adminPort: port } = await start();
  const scraper = await openClient({ port });
  expect(await keptBy(scraper)).toBe(true);
  const crowd = await many(CROWD, () => sendTo({ port }, 'GET /'));
  // They are accepted one by one; until then the scraper stays.
  await expect.poll(() => keptBy(scraper)).toBe(false);
  expect(await scraper.rest()).toEqual(Buffer.alloc(0));
  for (const client of crowd) client.destroy();
  await expect
    .poll(async () => {
      const client = await openClient({ port });
      const kept = await keptBy(client);
      client.destroy();
      return kept;
    })
    .toBe(true);
});
