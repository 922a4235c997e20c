// Verified requests have upstream slots that nobody else can take: unverified requests get at most three quarters of
// `upstream.connections`, so a delivery goes through however slow they, their clients or their upstream are. With one
// connection, the two kinds share it. Nobody is dropped because the upstream is slow.
import type { Socket } from 'node:net';
import { describe, expect, test } from 'vitest';
import { SECRET } from '../support/deliveries/signer.ts';
import { type RawClient, sendTo } from '../support/http/raw-client.ts';
import { delivery } from '../support/http/requests.ts';
import { expectSlotsFree, untilAtRest } from '../support/proxy/at-rest.ts';
import type { RunningProxy } from '../support/proxy/proxy.ts';
import { shared } from '../support/proxy/shared.ts';
import { type LenientUpstream, OK, startLenientUpstream } from '../support/upstream/lenient-upstream.ts';

const BODY = '{"event":1}';

const signed = delivery(BODY, SECRET);
/** Kinds of unverified request; the upstream is slow with each. */
const UNVERIFIED = {
  'without a body': 'GET /open HTTP/1.1\r\nHost: h\r\n\r\n',
  'with a body': 'POST /open HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nslow',
  reported: 'POST /report HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nslow',
} as const;

/** Holds what is not a delivery; returns the sockets whose request is not yet answered. */
function holding(upstream: LenientUpstream): Socket[] {
  const held: Socket[] = [];
  upstream.seen.length = 0;
  upstream.answer(({ target }) => (target === '/notify' ? OK : (socket) => void held.push(socket)));
  return held;
}

const askMany = (to: RunningProxy, bytes: string, count: number) =>
  Promise.all(Array.from({ length: count }, () => sendTo(to, bytes)));
const statuses = (asked: readonly RawClient[]) =>
  Promise.all(asked.map(async (client) => (await client.response()).status));

// The share of other numbers of connections: test/unit/upstream/limiter.test.ts.
describe('of eight connections', () => {
  const [connections, share] = [8, 6];
  const on = shared(startLenientUpstream, {
    upstream: { connections, retryConnectFor: '500ms' },
    routes: [{ path: '/notify' }, { path: '/report', mode: 'report' }, { path: '/open', action: 'forward' }],
  });

  test.each(Object.entries(UNVERIFIED))('six at most are taken by slow unverified requests %s', async (_, bytes) => {
    const held = holding(on.upstream);
    const slow = await askMany(on.proxy, bytes, share);
    await expect.poll(() => held.length).toBe(share);
    const waiting = await askMany(on.proxy, bytes, 3);
    // As many at once as there are connections left, repeatedly.
    for (let round = 0; round < 5; round++) {
      const deliveries = await askMany(on.proxy, signed, connections - share);
      expect(await statuses(deliveries)).toEqual(deliveries.map(() => 200));
    }
    expect(await statuses(waiting)).toEqual([503, 503, 503]);
    expect(on.upstream.seen.filter(({ target }) => target !== '/notify')).toHaveLength(share);
    for (const socket of held) socket.write(OK);
    expect(await statuses(slow)).toEqual(slow.map(() => 200));
    await untilAtRest(on.proxy);
    on.upstream.answer(() => OK);
    await expectSlotsFree(on.proxy, { slots: share, target: '/open' });
  });
});
