// A body that found no room never reaches the upstream.
// A streaming body that finds no room in the byte budget while it waits for a slot gets 503. It must not wait on: with
// its bytes gone, the upstream would get an empty body that looks whole.
import { expect, test } from 'vitest';
import { sendTo } from '../support/http/raw-client.ts';
import { untilAtRest } from '../support/proxy/at-rest.ts';
import { shared } from '../support/proxy/shared.ts';
import { OK, startRawUpstream } from '../support/upstream/raw-upstream.ts';

const on = shared(startRawUpstream, {
  upstream: { connections: 1 },
  unmatched: 'forward',
  limits: { maxBody: '1KiB', bufferedBytes: '1KiB' },
});

test.each([
  ['at once', ['']],
  ['in its last piece', ['3\r\nabc\r\n', '']],
])('a body that finds no room %s gets 503, and stays here', async (_when, pieces) => {
  on.upstream.heads.length = 0;
  const held = Promise.withResolvers<() => void>();
  on.upstream.script((socket) => held.resolve(() => socket.write(OK)));
  const holder = await sendTo(on.proxy, 'GET /holds-the-only-slot HTTP/1.1\r\nHost: h\r\n\r\n');
  const finish = await held.promise;
  on.upstream.script((socket) => socket.write(OK));
  const client = await sendTo(on.proxy, 'POST /open HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n');
  for (const piece of pieces) await client.send(piece);
  await client.send(`7d0\r\n${'x'.repeat(2000)}\r\n0\r\n\r\n`);
  expect(await client.response()).toMatchObject({ status: 503, body: Buffer.from('{"error":"overloaded"}') });
  finish();
  expect((await holder.response()).status).toBe(200);
  for (const one of [client, holder]) one.destroy();
  await untilAtRest(on.proxy);
  expect(on.upstream.heads.map((head) => head.split('\r\n')[0])).toEqual(['GET /holds-the-only-slot HTTP/1.1']);
});
