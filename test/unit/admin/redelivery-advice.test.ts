// The list of deferred deliveries on the status page, and the verdict on the secrets that sign them.
import { expect, test, vi } from 'vitest';
import { adviceFor, apiStatus } from '../../../src/admin/advice/advice.ts';
import { secretVerdict } from '../../../src/admin/advice/secrets.ts';
import { renderStatusPage } from '../../../src/admin/page/page.ts';
import type { DeferredStatus, SecretStatus } from '../../../src/admin/snapshot.ts';
import { CURRENT, DEFERRED, NOTIFY, NOW, snapshot } from '../metrics/fixtures.ts';

vi.useFakeTimers({ now: NOW });

const HOUR = 3_600_000;
test('without redelivery nothing is said of it', () => {
  expect(adviceFor(snapshot()).map(({ id }) => id)).toEqual(['nothing-proven']);
  expect(renderStatusPage(apiStatus(snapshot()))).not.toContain('Deferred deliveries');
});

test('a store that works again is not said to fail', () => {
  const failed = { problem: 'EACCES', problemKind: 'failed', turnedAwayAt: NOW - 60_000 } as const;
  const [found] = adviceFor(snapshot({ deferred: { ...DEFERRED, ...failed } })).filter(
    ({ id }) => id === 'store-fails',
  );
  expect(found?.message).toMatch(/ failed: EACCES; a delivery was last turned away 60 s ago .*\. It works again; /);
  expect(found?.message).not.toMatch(/fails|Until/);
  expect(found?.state).toBe('failed');
});

test('the page lists when each came, its route, attempts, last failure and next try', () => {
  const [first] = DEFERRED.deliveries;
  if (first === undefined) throw new Error('the fixture lists none');
  const stopped = { ...first, id: 'stopped', state: 'stopped', nextTry: null } as const;
  const late = { ...first, id: 'late', nextTry: NOW - 1 };
  const unverified = { ...late, id: 'unverified', route: null, state: 'unverified', nextTry: null } as const;
  const deferred = { ...DEFERRED, deliveries: [first, stopped, late, unverified] };
  const text = renderStatusPage(apiStatus(snapshot({ deferred })));
  const [, rows = ''] = text.split('<h2 id="deferred">Deferred deliveries</h2>');
  const cells = [...rows.slice(0, rows.indexOf('</table>')).matchAll(/<td data-label="([^"]+)">(.*?)<\/td>/g)].map(
    ([, head, value = '']) =>
      `${head}: ${value
        .replaceAll(/<[^>]+>/g, ' ')
        .replaceAll(/ +/g, ' ')
        .trim()}`,
  );
  expect(cells.slice(0, 6)).toEqual([
    'Came: 60 s ago (11:59 UTC)',
    `Event: ${first.id} route /notify`,
    'State: ● waiting',
    'Sent again: 3',
    'Last failure: 503',
    'Next try: in 8 s (12:00 UTC)',
  ]);
  expect(cells.filter((cell) => cell.startsWith('Next try'))).toEqual([
    'Next try: in 8 s (12:00 UTC)',
    'Next try: –',
    'Next try: when it is its turn',
    'Next try: –',
  ]);
  expect(cells).toContain('Event: unverified no known route');
  const idle = renderStatusPage(apiStatus(snapshot({ deferred: { ...deferred, sends: false } })));
  expect(idle).not.toContain('in 8 s');
  expect(text).toContain('maxBody 1MiB');
  const route = { ...NOTIFY, redeliver: 72 * HOUR };
  expect(renderStatusPage(apiStatus(snapshot({ routes: [route] })))).toContain('redeliver 72h');
});

test('why nothing verifies some is told once, whatever their routes and secrets', () => {
  const whys = ['a', 'b', 'b'].map((secret) => ({ why: 'altered', secret, deliveries: 2 }));
  const [found] = adviceFor(snapshot({ deferred: { ...DEFERRED, waiting: 0, deliveries: [], unverified: 6, whys } }));
  expect(found?.message).toMatch(/ so not sent: 6 altered in the store\.$/);
});

test('what the store lost is told for a day', () => {
  const lost = (ago: number) =>
    adviceFor(
      snapshot({ deferred: { ...DEFERRED, waiting: 0, storeLost: { at: NOW - ago, problem: 'q was removed' } } }),
    );
  expect(lost(24 * HOUR - 1)).toMatchObject([
    {
      id: 'deferred-lost',
      state: 'warning',
      message: expect.stringMatching(
        /^The store of deferred deliveries \(\S+\) lost what waited in it .* ago.*: q was/,
      ),
    },
  ]);
  expect(lost(24 * HOUR).map(({ id }) => id)).toEqual(['nothing-proven']);
});

test('a secret that deferred deliveries need is kept, whatever else speaks for its removal', () => {
  const next = { ...CURRENT, id: 'next', lastMatch: NOW / 1000 - 60 };
  const old: SecretStatus = { ...CURRENT, id: 'old', lastMatch: NOW / 1000 - 10_800, deferred: 12 };
  const both = { ...NOTIFY, secretIds: ['old', 'next'], liveSecrets: 2 };
  const verdict = (secret: SecretStatus, deferred: DeferredStatus | null = DEFERRED) =>
    secretVerdict(secret, snapshot({ routes: [both], secrets: [old, next], deferred }));
  expect(verdict(old)).toBe('keep it: 12 deferred deliveries are signed with it');
  expect(verdict({ ...old, deferred: 1, state: 'expired', notAfter: NOW - 1 })).toBe(
    'keep it: 1 deferred delivery is signed with it',
  );
  expect(verdict({ ...old, deferred: 0 })).toMatch(/can be removed once/);
  expect(verdict({ ...old, id: 'next.previous', notAfter: NOW + 5 * HOUR })).toBe(
    'ends by itself; 12 deferred deliveries are signed with it, and not sent after that',
  );
});
