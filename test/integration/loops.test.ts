// An upstream whose address leads back to the proxy. Without DNS that is known at the start (test/unit/config); else the
// first request shows it. Before, one POST came round until no slot was free, and the app was blamed.
import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { expect } from 'vitest';
import { type ConnectOptions, exchange } from '../support/http/raw-client.ts';
import { delivery, get, request } from '../support/http/requests.ts';
import { ownDirectory } from '../support/machine/files.ts';
import { freePort } from '../support/machine/free-port.ts';
import { eventually, test, value } from '../support/proxy/proxied.ts';
import { createAuthority } from '../support/tls/certificates.ts';
import { handshake } from '../support/websocket/client.ts';

/** Every machine knows its own name, by /etc/hosts or by DNS. */
const OWN_NAME = hostname().toLowerCase();
const authority = createAuthority(ownDirectory(), 'authority');
const pair = authority.issue('proxy', { names: [`DNS:${OWN_NAME}`, 'IP:127.0.0.1'] });
const ROUTES = [{ path: '/notify' }, { path: '/open', action: 'forward', upgrade: ['websocket'] }];

async function ask(to: ConnectOptions, bytes: string): Promise<string> {
  const { status, body } = await exchange(to, bytes);
  return `${status} ${body}`;
}

test.concurrent.for(['http', 'https'] as const)(
  'over %s each request comes round once, and gets 508',
  async (scheme, { start }) => {
    const port = await freePort();
    const isSecure = scheme === 'https';
    const proxy = await start({
      listen: { host: '::', port, ...(isSecure && { tls: pair }) },
      upstream: { url: `${scheme}://${OWN_NAME}:${port}`, ...(isSecure && { tls: { caFile: authority.caFile } }) },
      routes: ROUTES,
    });
    const to = { port, ...(isSecure && { ca: readFileSync(authority.caFile, 'utf8') }) };
    const requests = [delivery('{}', value('a')), delivery('{}', value('a')), get('/open'), handshake('/open')];
    for (const bytes of requests) expect(await ask(to, bytes)).toBe('508 {"error":"loop_detected"}');
    const metrics = await proxy.metrics();
    const ofRoute = (route: string, decision: string, reason: string) =>
      metrics.get(`entrupy_proxy_requests_total{route="${route}",decision="${decision}",reason="${reason}"}`);
    expect(ofRoute('unmatched', 'rejected', 'loop_detected')).toBe(requests.length);
    expect([ofRoute('/notify', 'accepted', 'none'), ofRoute('/open', 'forwarded', 'none')]).toEqual([2, 2]);
    for (const route of ['unmatched', '/notify'])
      await proxy.waitForLog((line) => line.diagnosis === 'upstream-loop' && line.route === route);
    await eventually(async () => {
      const [headline] = (await proxy.status()).advice;
      return `${headline?.state} ${headline?.id}`;
    }, 'failed upstream-loop');
  },
);

test('no client reaches the admin port through an upstream that is that port', async ({ start }) => {
  const port = await freePort();
  const upstream = { url: `http://${OWN_NAME}:${port}` };
  const proxy = await start({ admin: { host: '::', port }, upstream, unmatched: 'forward', routes: [] });
  const drain = request(['POST /-/drain HTTP/1.1', 'Host: a', 'Content-Length: 0']);
  for (const bytes of [drain, get('/api/status')]) expect(await ask(proxy, bytes)).toMatch(/^508 /);
  expect((await proxy.status()).draining).toBe(false);
});
