// A store of delivered events that cannot be used is reported.
// A store of `once` that lacks its password or its certificate, or is not connected yet. The log names the problem, and
// deliveries go on as onStoreFailure says.
import { execFileSync } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { DELIVERED, DUPLICATE, deliver } from '../support/once/events.ts';
import { fails, isBack, PASSWORD, REFUSED } from '../support/once/failing-store.ts';
import { remembering, test } from '../support/once/once.ts';
import { HAS_SERVERS, REDIS_OR_VALKEY } from '../support/once/redis.ts';
import { reload } from '../support/proxy/reloads.ts';
import { createAuthority } from '../support/tls/certificates.ts';

describe.skipIf(!HAS_SERVERS).concurrent('with a server that is not reachable, or not yet', () => {
  test('a missing password is reported at start, on either side', async ({ deliverer, redis, directory }) => {
    const { url: store } = await redis(REDIS_OR_VALKEY, { password: PASSWORD });
    const passwordFile = join(directory, 'absent');
    const [none, absent] = await Promise.all([
      deliverer({ once: { store } }),
      deliverer({ once: { store, passwordFile, onStoreFailure: 'refuse' } }),
    ]);
    expect(await fails(none)).toMatchObject({ problem: expect.stringMatching(/NOAUTH/) });
    expect(await fails(absent)).toMatchObject({
      problem: `once.passwordFile ${passwordFile}: it does not exist`,
    });
    expect([await deliver(none, 'e'), await deliver(absent, 'e')]).toEqual([DELIVERED, REFUSED]);
    await writeFile(passwordFile, PASSWORD);
    await isBack(absent);
    expect([await deliver(absent, 'e'), await deliver(absent, 'e')]).toEqual([DELIVERED, DUPLICATE]);
  });

  test('a pipe or an empty file as the password is told, blocks nothing', async ({ deliverer, redis, directory }) => {
    const { url: store } = await redis(REDIS_OR_VALKEY, { password: PASSWORD });
    const [pipe, empty] = [join(directory, 'pipe'), join(directory, 'empty')];
    execFileSync('mkfifo', [pipe]);
    await writeFile(empty, '');
    for (const [passwordFile, problem] of [
      [pipe, 'it is not a regular file'],
      [empty, 'it is empty'],
    ] as const) {
      const proxy = await deliverer({ once: { store, passwordFile } });
      expect(await fails(proxy)).toMatchObject({ problem: `once.passwordFile ${passwordFile}: ${problem}` });
      expect(await deliver(proxy, 'e')).toEqual(DELIVERED);
    }
  });

  test('TLS with a private CA', async ({ deliverer, redis, directory }) => {
    const authority = createAuthority(directory, 'ca');
    const { url: store } = await redis(REDIS_OR_VALKEY, { tls: authority.issue('store', { names: ['IP:127.0.0.1'] }) });
    const [trusting, other] = await Promise.all([
      deliverer({ once: { store }, env: { NODE_EXTRA_CA_CERTS: authority.caFile } }),
      deliverer({ once: { store, onStoreFailure: 'refuse' } }),
    ]);
    await remembering(trusting);
    expect([await deliver(trusting, 'e'), await deliver(trusting, 'e')]).toEqual([DELIVERED, DUPLICATE]);
    expect(trusting.output()).not.toMatch(/certificate/);
    expect(await fails(other)).toMatchObject({ problem: expect.stringMatching(/certificate/) });
    expect(await deliver(other, 'other')).toEqual(REFUSED);
  });

  test('the first event after a start, or a reload that adds `once`, is looked up', async ({ deliverer, redis }) => {
    const once = { store: (await redis(REDIS_OR_VALKEY)).url };
    const known = await remembering(await deliverer({ once }));
    expect(await deliver(known, 'e')).toEqual(DELIVERED);
    expect(await deliver(await deliverer({ once }), 'e')).toEqual(DUPLICATE);
    const late = await deliverer({ once, route: { maxBody: '1KiB' } });
    await reload(late, (config) => config.replace(/( +)maxBody: 1KiB\n/, '$1once: 1h\n'));
    expect(await deliver(late, 'e')).toEqual(DUPLICATE);
  });
});
