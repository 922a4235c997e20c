// Each row is an upstream that misbehaves in one way. The client gets a response, or one that visibly breaks off, never a
// truncated one that looks complete. The upstream is asked once: it may have processed the request.
import { afterEach, describe, expect, test } from 'vitest';
import { SECRET } from '../support/deliveries/signer.ts';
import { endClients, type RawClient, sendTo } from '../support/http/raw-client.ts';
import { delivery, get } from '../support/http/requests.ts';
import { parseResponse } from '../support/http/response-parser.ts';
import { expectSlotsFree, untilAtRest } from '../support/proxy/at-rest.ts';
import { shared } from '../support/proxy/shared.ts';
import { OK, startLenientUpstream } from '../support/upstream/lenient-upstream.ts';
import { HALVES, HONEST, NO_ANSWERS, ODD, SILENT, saysAndResets, textOf } from '../support/upstream/misbehaviours.ts';

const SLOTS = 2;
/** Of the one request; a body longer than a packet. */
const ID = 7;
const DELIVERY = delivery('{"event":1}', SECRET);
const GET = get('/open');
const NEXT = 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnext';

const configOf = (times: object) => ({
  upstream: { connections: SLOTS, keepAlive: '30s', ...times },
  routes: [{ path: '/notify' }, { path: '/open', action: 'forward', responseTimeout: '30s', idleTimeout: '30s' }],
});
const patient = shared(startLenientUpstream, configOf({ retryConnectFor: '30s' }));
/** For upstreams that are silent. A busy machine exceeds its times, too. */
const HASTE = { responseTimeout: '500ms', idleTimeout: '500ms' };
const hasty = shared(startLenientUpstream, configOf({ ...HASTE, keepAlive: '30ms' }));
let on = patient;
afterEach(async () => {
  endClients();
  await untilAtRest(on.proxy);
  on.upstream.script((socket) => socket.write(OK));
  await expectSlotsFree(on.proxy, { slots: SLOTS, target: '/open' });
  on.upstream.seen.length = 0;
  on = patient;
});

/** The failures of each proxy so far, by their series. */
const known = new Map<typeof on, Map<string, number>>();

const FAILURES = 'entrupy_proxy_upstream_failures_total{route="/notify"';

/** Sends this to an upstream that does that; the causes that it was counted under, of which there is one. */
async function counted(play: (typeof HALVES)[number]['play'], look: (client: RawClient) => Promise<void>) {
  if (SILENT.some((silent) => silent.play === play)) on = hasty;
  on.upstream.script((socket) => play(socket, ID));
  await look(await sendTo(on.proxy, DELIVERY));
  expect(on.upstream.seen).toHaveLength(1);
  await untilAtRest(on.proxy); // a request is recorded when it ends, which may be after the client has its response
  const all = [...(await on.proxy.metrics())].filter(([series]) => series.startsWith(FAILURES));
  const before = known.get(on);
  known.set(on, new Map(all));
  return all.flatMap(([series, count]) =>
    Array(count - (before?.get(series) ?? 0)).fill(/cause="(\w+)"/.exec(series)?.[1]),
  );
}

describe('before a response has started, the proxy answers', () => {
  const rows = [...NO_ANSWERS, ...SILENT].filter(({ cause }) => cause !== undefined);

  test.each(rows)('and counts $cause for $name', async ({ play, cause }) => {
    const causes = await counted(play, async (client) => {
      const { status, body, lines } = await client.response();
      const ours = cause === 'timeout' ? [504, '{"error":"gateway_timeout"}'] : [502, '{"error":"bad_gateway"}'];
      expect([status, body.toString()]).toEqual(ours);
      // A load balancer's retry should reach another pod.
      expect(lines).toContain('Connection: close');
      expect((await client.rest()).length).toBe(0);
    });
    expect(causes).toEqual([cause]);
  });
});

describe('after a response has started, it is cut', () => {
  test.each([...HALVES, ...SILENT.filter(({ cause }) => cause === undefined)])(
    'and counted once: $name',
    async ({ play, allowed }) => {
      const causes = await counted(play, async (client) => {
        const rest = await client.rest();
        // A strict reader takes it for incomplete, unless the proxy was fast enough to refuse it as a whole.
        const answer = parseResponse(rest)?.response.status ?? 'cut';
        expect(allowed.includes('refused') ? ['cut', 502] : ['cut']).toContain(answer);
        if (answer === 'cut') expect(rest.toString('latin1')).toContain(`\r\nX-Id: ${ID}\r\n`);
      });
      expect(causes).toHaveLength(1);
    },
  );

  test('by a reset for HTTP/1.0, where the end of the connection ends the body', async () => {
    on.upstream.script((socket) => saysAndResets(() => 'HTTP/1.1 200 OK\r\n\r\npart')(socket, ID));
    const client = await sendTo(on.proxy, GET.replace('HTTP/1.1', 'HTTP/1.0'));
    const failed = new Promise((resolve) => client.socket.once('error', resolve));
    await client.rest();
    expect(client.socket.readableEnded).toBe(false);
    expect(await failed).toMatchObject({ code: 'ECONNRESET' });
  });
});

describe('odd but complete responses arrive complete, and none of their bytes reach the next request', () => {
  async function expectNext(client: RawClient): Promise<void> {
    on.upstream.script((socket) => socket.write(NEXT));
    await client.send(GET);
    expect((await client.response()).body.toString()).toBe('next');
  }

  test.each([...HONEST, ...ODD])('also $name', async ({ play, method = 'GET', bodiless, reason = 'OK' }) => {
    on.upstream.script((socket) => play(socket, ID));
    const client = await sendTo(on.proxy, GET.replace('GET', method));
    const response = await client.response({ head: method === 'HEAD' });
    expect([response.reason, response.body.toString()]).toEqual([reason, bodiless ? '' : textOf(ID)]);
    await expectNext(client);
  });
});
