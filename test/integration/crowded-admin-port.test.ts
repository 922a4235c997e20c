// Probes get in although many others use the admin port.
import { expect } from 'vitest';
import { openClient, type RawClient, sendTo } from '../support/http/raw-client.ts';
import { many } from '../support/proxy/limited.ts';
import { test } from '../support/proxy/proxied.ts';

const GET = 'GET /livez HTTP/1.1\r\nHost: h\r\n\r\n';
/** More than half of the connections that the admin port takes. */
const CROWD = 33;

async function keptBy(client: RawClient): Promise<boolean> {
  await client.send(GET);
  const { status, lines } = await client.response();
  expect(status).toBe(200);
  return !lines.includes('Connection: close');
}

test('a crowded admin port ends each connection after its answer, to leave room for probes', async ({ start }) => {
  const { adminPort: port } = await start();
  const scraper = await openClient({ port });
  expect(await keptBy(scraper)).toBe(true);
  const crowd = await many(CROWD, async () => {
    const client = await sendTo({ port }, 'GET /');
    return client;
  });
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
