// Interim responses (1xx) that clients do not read end no proxy.
// They must be forwarded (RFC 9110 15.2), so none can be dropped. Before they held back the upstream, 60 clients that
// read nothing held 306 MB, and at the image's heap the process ended.
import { expect } from 'vitest';
import { openClient } from '../support/http/raw-client.ts';
import { untilMetrics } from '../support/proxy/at-rest.ts';
import { heapOf, IMAGE_ENV, IMAGE_FLAGS } from '../support/proxy/image-env.ts';
import { expectServed, GET, many } from '../support/proxy/limited.ts';
import { builtProgram } from '../support/proxy/program.ts';
import { eventually, test } from '../support/proxy/proxied.ts';
import { OK } from '../support/upstream/raw-upstream.ts';

const CLIENTS = 90;
/** Nearly as large as a head may be, and nearly as many as a response may have. */
const HINTS = `HTTP/1.1 103 Early Hints\r\nLink: <${'a'.repeat(60 * 1024)}>\r\n\r\n`;
const INTERIMS = 99;

test('ninety clients that read none, and one that reads late, fit into 128 MiB', async ({ raw, start }) => {
  raw.script((socket) => {
    for (let sent = 0; sent < INTERIMS; sent++) socket.write(HINTS, 'latin1');
    socket.write(OK);
  });
  const asTheImage = { program: builtProgram(), flags: [...IMAGE_FLAGS, heapOf(128)], env: IMAGE_ENV };
  const routes = [
    { path: '/notify' },
    { path: '/open/*', action: 'forward', idleTimeout: '8s' },
    { path: '/patient', action: 'forward' },
  ];
  const proxy = await start({ upstream: { url: raw.url }, routes }, asTheImage);
  const late = await openClient(proxy);
  late.socket.pause();
  await late.send(GET.replace('/open/0', '/patient'));
  const clients = await many(CLIENTS, async () => {
    const client = await openClient(proxy);
    client.socket.pause();
    await client.send(GET);
    return client;
  });
  await eventually(() => raw.heads.length, 1 + CLIENTS);
  // Each is cut once its socket has taken nothing for idleTimeout.
  await untilMetrics(proxy, ['requests_in_flight'], ([now]) => now === 1);
  late.socket.resume();
  await late.bytes(INTERIMS * HINTS.length + OK.length);
  const { status, informational } = await late.response();
  expect([status, informational.length]).toEqual([200, INTERIMS]);
  raw.script((socket) => void socket.write(OK));
  await expectServed(proxy);
  for (const client of [late, ...clients]) client.destroy();
});
