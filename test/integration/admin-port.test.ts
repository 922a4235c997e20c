// The admin port answers probes, views and actions, and browsers elsewhere cannot act.
import { networkInterfaces } from 'node:os';
import { afterEach, expect, test } from 'vitest';
import type { AdminSources } from '../../src/admin/handlers.ts';
import { createAdminServer } from '../../src/admin/server.ts';
import type { Listener } from '../../src/downstream/listener.ts';
import { createLog } from '../../src/log/log.ts';
import { exchange } from '../support/http/raw-client.ts';
import { judged, metricsOf } from '../unit/fixtures.ts';

const open: Listener[] = [];
afterEach(() => {
  for (const server of open.splice(0)) server.cutAll();
});

async function admin(changes: Partial<AdminSources> = {}, host = '127.0.0.1', ownPort = 0) {
  const acts: string[] = [];
  const lines: string[] = [];
  const state = { ready: true, started: true };
  const server = createAdminServer({
    probe: async () => ({ ready: true, causes: [], error: null }),
    beforeScrape: async () => {},
    status: () => judged(),
    expose: metricsOf().expose,
    started: () => state.started,
    readiness: async () => ({ ready: state.ready, causes: state.ready ? [] : ['no live secret on /notify'] }),
    drain: () => acts.push('drain'),
    reload: async () => {
      acts.push('reload');
      return [];
    },
    redeliver: async () => acts.push('redeliver'),
    retirePrevious: async () => {
      acts.push('retire');
      return { retired: 5, read: ['a'], unread: [] };
    },
    capture: () => null,
    actionsFrom: () => [],
    leadsBack: () => false,
    log: createLog('debug', (line) => lines.push(line)),
    ...changes,
  });
  open.push(server);
  const port = await server.listen(host, ownPort);
  const ask = async (path: string, init?: RequestInit) => {
    const response = await fetch(`http://127.0.0.1:${port}${path}`, init);
    return { status: response.status, headers: response.headers, text: await response.text() };
  };
  return { port, ask, acts, lines, state };
}

test('livez and health answer ok; startz and readyz report the state', async () => {
  const { ask, state } = await admin();
  for (const path of ['/livez', '/health', '/startz', '/readyz']) {
    expect(await ask(path)).toMatchObject({ status: 200, text: '{"status":"ok"}' });
  }
  state.ready = false;
  state.started = false;
  expect(await ask('/readyz')).toMatchObject({
    status: 503,
    text: '{"status":"not_ready","causes":["no live secret on /notify"]}',
  });
  expect(await ask('/startz')).toMatchObject({ status: 503, text: '{"status":"starting"}' });
  expect((await ask('/livez')).status).toBe(200);
});

test('every response forbids caching, sniffing and framing', async () => {
  const { ask } = await admin();
  for (const path of ['/', '/metrics', '/readyz', '/api/status', '/nowhere']) {
    const { headers } = await ask(path);
    expect(headers.get('cache-control'), path).toBe('no-store');
    expect(headers.get('x-content-type-options'), path).toBe('nosniff');
    expect(headers.get('content-security-policy'), path).toContain("frame-ancestors 'none'");
  }
});

// What reload and retire-previous answer: test/integration/reloads.test.ts.
test('drain by GET or POST is logged', async () => {
  const { ask, acts, lines } = await admin();
  for (const method of ['GET', 'POST'])
    expect(await ask('/-/drain', { method })).toMatchObject({ status: 200, text: '{"status":"draining"}' });
  expect([acts, lines.length]).toEqual([['drain', 'drain'], 2]);
});

test('another method is 405 with Allow, another path 404', async () => {
  const { ask, acts } = await admin();
  const allowed = async (path: string, method: string) => {
    const { status, headers } = await ask(path, { method });
    return [status, headers.get('allow')];
  };
  expect(await allowed('/metrics', 'POST')).toEqual([405, 'GET, HEAD']);
  expect(await allowed('/', 'DELETE')).toEqual([405, 'GET, HEAD']);
  expect(await allowed('/-/drain', 'HEAD')).toEqual([405, 'GET, POST']);
  expect(await allowed('/-/reload', 'GET')).toEqual([405, 'POST']);
  for (const path of ['/nowhere', '/constructor', '/__proto__', '//livez']) expect((await ask(path)).status).toBe(404);
  expect(await ask('/livez', { method: 'HEAD' })).toMatchObject({ status: 200, text: '' });
  expect(acts).toEqual([]);
});

test('a cross-site browser request changes nothing', async () => {
  const { port, acts } = await admin();
  for (const [head, status] of [
    ['POST /-/reload HTTP/1.1\r\nHost: 127.0.0.1\r\nOrigin: http://evil.example', 403],
    ['POST /-/retire-previous HTTP/1.1\r\nHost: evil.example\r\nOrigin: http://evil.example', 403],
    ['GET /-/drain HTTP/1.1\r\nHost: 127.0.0.1\r\nSec-Fetch-Site: cross-site', 403],
    ['POST /-/drain HTTP/1.1\r\nHost: 127.0.0.1\r\nOrigin: http://127.0.0.1', 200],
  ] as const) {
    expect((await exchange(port, `${head}\r\n\r\n`)).status, head).toBe(status);
  }
  expect(acts).toEqual(['drain']);
});

test('a large body is refused, and what the gate refuses', async () => {
  const { port, ask, acts } = await admin();
  expect((await ask('/-/reload', { method: 'POST', body: 'x'.repeat(2000) })).status).toBe(413);
  const chunked = 'POST /-/reload HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n';
  expect((await exchange(port, chunked)).status).toBe(413); // the body never comes
  const hosts = 'Host: 127.0.0.1\r\nHost: evil.example';
  expect((await exchange(port, `POST /-/reload HTTP/1.1\r\n${hosts}\r\n\r\n`)).status).toBe(400);
  expect(acts).toEqual([]);
});

test('an error behind a view is logged and answered with 500, and the probes keep working', async () => {
  const { ask, lines } = await admin({
    status: () => {
      throw new Error('broken source');
    },
  });
  expect(await ask('/api/status')).toMatchObject({ status: 500, text: '{"error":"internal"}' });
  expect(lines.join('')).toContain('broken source');
  expect((await ask('/livez')).status).toBe(200);
});

const own = Object.values(networkInterfaces())
  .flat()
  .find((address) => address?.family === 'IPv4' && !address.internal)?.address;

test.skipIf(own === undefined)('actions are for admin.actionsFrom and loopback, probes and views for all', async () => {
  let networks: readonly string[] = ['203.0.113.7/32'];
  const { port, acts, lines, ask } = await admin({ actionsFrom: () => networks }, '::');
  const outside = async (path: string, method = 'POST') => {
    const response = await fetch(`http://${own}:${port}${path}`, { method });
    return [response.status, await response.text()];
  };
  for (const path of ['/-/drain', '/-/reload', '/-/retire-previous'])
    expect(await outside(path)).toEqual([403, '{"error":"forbidden"}']);
  expect(await outside('/-/drain', 'GET')).toEqual([403, '{"error":"forbidden"}']);
  expect(acts).toEqual([]);
  expect(lines.filter((line) => line.includes('outside admin.actionsFrom') && line.includes(`${own}`))).toHaveLength(4);
  for (const path of ['/livez', '/startz', '/readyz', '/metrics', '/', '/api/status'])
    expect((await outside(path, 'GET'))[0], path).toBe(200);
  expect((await ask('/-/drain', { method: 'POST' })).status).toBe(200);
  networks = [`${own}/32`];
  expect((await outside('/-/reload'))[0]).toBe(200);
  expect(acts).toEqual(['drain', 'reload']);
  networks = []; // all may act, but a capture shows what clients sent
  expect([(await outside('/-/capture'))[0], (await outside('/-/drain'))[0]]).toEqual([403, 200]);
});
