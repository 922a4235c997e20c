// Several requests written at once on one connection: each is either answered or never processed. A delivery that
// reached the upstream without a response would be sent again, and processed twice.
import type { Socket } from 'node:net';
import { beforeEach, describe, expect, test } from 'vitest';
import { SECRET } from '../support/deliveries/signer.ts';
import { type RawClient, sendTo } from '../support/http/raw-client.ts';
import { delivery } from '../support/http/requests.ts';
import { values } from '../support/http/response-parser.ts';
import { eventually, test as ownTest } from '../support/proxy/proxied.ts';
import { shared } from '../support/proxy/shared.ts';
import { enough } from '../support/runner/patience.ts';
import { type LenientUpstream, OK, startLenientUpstream } from '../support/upstream/lenient-upstream.ts';

const signed = (body: string) => delivery(body, SECRET);
const CONFIG = { routes: [{ path: '/notify' }] };
const on = shared(startLenientUpstream, CONFIG);
const bodies = () => on.upstream.seen.map(({ body }) => body.toString());
beforeEach(() => {
  on.upstream.seen.length = 0;
  on.upstream.answer(() => OK);
});

/** Makes the upstream hold each response; returns the next socket that waits for one. */
function holdAnswers(upstream: LenientUpstream = on.upstream): () => Promise<Socket> {
  const held: Socket[] = [];
  const wanting: ((socket: Socket) => void)[] = [];
  upstream.answer(() => (socket) => {
    const next = wanting.shift();
    if (next === undefined) held.push(socket);
    else next(socket);
  });
  return () => {
    const socket = held.shift();
    return socket === undefined ? new Promise((resolve) => wanting.push(resolve)) : Promise.resolve(socket);
  };
}

async function answers(client: RawClient): Promise<number[]> {
  const statuses: number[] = [];
  for (;;) {
    const response = await client.responseOrClose();
    if (response === null) return statuses;
    statuses.push(response.status);
    if (!values(response.lines, 'connection').includes('close')) continue;
    expect((await client.rest()).length).toBe(0);
    return statuses;
  }
}

describe('pipelined requests', () => {
  test('one at a time: a request does not start before the previous response is out', async () => {
    const nextHeld = holdAnswers();
    const client = await sendTo(on.proxy, signed('first') + signed('second'));
    const first = await nextHeld();
    // Another connection gets its response meanwhile, so there was time to start the second request here too.
    const other = await sendTo(on.proxy, signed('other'));
    (await nextHeld()).write(OK.replace('ok', 'c3'));
    expect((await other.response()).body.toString()).toBe('c3');
    expect(bodies()).toEqual(['first', 'other']);
    first.write(OK.replace('ok', 'a1'));
    expect((await client.response()).body.toString()).toBe('a1');
    (await nextHeld()).write(OK.replace('ok', 'b2'));
    expect((await client.response()).body.toString()).toBe('b2');
  });

  ownTest.for(['drain', 'stop'])(
    'a %s answers the one in flight, and starts no other',
    async (how, { start, lenient }) => {
      const nextHeld = holdAnswers(lenient);
      const proxy = await start({ ...CONFIG, upstream: { url: lenient.url }, shutdown: { grace: enough(3) } });
      const client = await sendTo(proxy, signed('1') + signed('2') + signed('3'));
      const socket = await nextHeld();
      if (how === 'drain') await fetch(`${proxy.adminUrl}/-/drain`, { method: 'POST' });
      else proxy.signal('SIGTERM');
      if (how === 'stop') await proxy.waitForLog(({ msg }) => msg === 'stopping');
      socket.write(OK);
      expect(await answers(client)).toEqual([200]);
      expect(lenient.list()).toHaveLength(1);
      client.destroy();
      if (how === 'stop') return;
      lenient.answer(() => OK);
      const other = await sendTo(proxy, signed('1') + signed('2') + signed('3'));
      expect(await answers(other)).toEqual([200]);
      expect(lenient.list()).toHaveLength(2);
    },
  );

  test('when a client leaves, all of its requests end', async () => {
    const nextHeld = holdAnswers();
    const client = await sendTo(on.proxy, signed('1') + signed('2'));
    const socket = await nextHeld();
    const closed = new Promise((resolve) => socket.once('close', resolve));
    client.destroy();
    await closed;
    await eventually(async () => (await on.proxy.metrics()).get('entrupy_proxy_requests_in_flight'), 0);
    expect(on.upstream.list()).toHaveLength(1);
  });
});
