// A deadline that passed while the process stood still.
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { expect, test } from 'vitest';
import { deadline } from '../../../src/base/deadline.ts';

test('what came while the process stood still is read before a deadline that passed meanwhile', async () => {
  await using server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1');
  const [[accepted]] = (await Promise.all([once(server, 'connection'), once(client, 'connect')])) as [
    [Socket],
    unknown,
  ];
  const { promise, resolve } = Promise.withResolvers<string>();
  const cancel = deadline(10, () => resolve('over'));
  client.once('data', () => {
    cancel();
    resolve('read');
  });
  accepted.write('answer');
  for (const until = performance.now() + 50; performance.now() < until; );
  const first = await promise;
  client.destroy();
  accepted.destroy();
  expect(first).toBe('read');
});

test('without anything it is over', async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  deadline(1, resolve);
  await promise;
});
