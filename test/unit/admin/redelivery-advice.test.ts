// What the status page says of deferred deliveries: advice, the list, and the verdict on the secrets that sign them.
import { expect, test, vi } from 'vitest';
import { adviceFor } from '../../../src/admin/advice.ts';
import { secretVerdict } from '../../../src/admin/secret-verdict.ts';
import { renderStatusPage } from '../../../src/admin/status-page.ts';
import type { DeferredStatus, SecretStatus } from '../../../src/admin/status-snapshot.ts';
import { CURRENT, DEFERRED, NOTIFY, NOW, QUIET, snapshot } from '../metrics/fixtures.ts';

vi.useFakeTimers({ now: NOW });

const HOUR = 3_600_000;
const items = (changes: Partial<DeferredStatus>) =>
  adviceFor(snapshot({ recent: { ...QUIET, deferred: 1 }, deferred: { ...DEFERRED, ...changes } }))
    .filter(({ id }) => id === 'redelivery')
    .map(({ state, message, remedy }) => `${state}: ${message} ${remedy}`);

test.each<[string, Partial<DeferredStatus>, readonly (RegExp | string)[]]>([
  ['nothing waits', { waiting: 0 }, []],
  [
    'one waits for a minute',
    {},
    [/^ok: 1 deferred delivery waits to be sent again, the oldest for 60 s\. Nothing, if/],
  ],
  [
    'the oldest waits for long',
    { waiting: 12, oldest: NOW - 16 * 60_000 },
    [/^warning: 12 deferred deliveries wait to be sent again, the oldest for 16 min\. Find out why/],
  ],
  [
    'no route sends them',
    { sends: false },
    [/^warning: 1 deferred delivery waits, and nothing is sent, since no route/],
  ],
  [
    'the app refused some',
    { waiting: 0, stopped: 2 },
    [/^warning: The app refused 2 deferred deliveries \(4xx\).*deliver/],
  ],
  [
    'some cannot be verified',
    { waiting: 0, unverified: 1 },
    [/^warning: 1 deferred delivery cannot be verified, so not/],
  ],
  [
    'the store fails',
    { waiting: 0, problem: 'no space left' },
    [/^warning: The store of deferred deliveries \(\/var\/lib\/\S+\) fails: no space left\. Until it works/],
  ],
])('%s', (_, changes, expected) => {
  const found = items(changes);
  expect(found).toHaveLength(expected.length);
  for (const [index, pattern] of expected.entries()) expect(found[index]).toMatch(pattern);
});

test('without redelivery nothing is said of it', () => {
  expect(adviceFor(snapshot()).map(({ id }) => id)).toEqual(['all']);
  expect(renderStatusPage(snapshot(), { refresh: 'off' })).not.toContain('Deferred deliveries');
});

test('the page lists when each came, its route, attempts, last failure and next try', () => {
  const [first] = DEFERRED.deliveries;
  if (first === undefined) throw new Error('the fixture lists none');
  const stopped = { ...first, id: 'stopped', state: 'stopped', nextTry: null } as const;
  const unread = { ...first, id: 'unread', route: null, lastFailure: '', nextTry: NOW - 1 };
  const unverified = { ...unread, id: 'unverified', state: 'unverified', nextTry: null } as const;
  const deferred = { ...DEFERRED, deliveries: [first, stopped, unread, unverified] };
  const text = renderStatusPage(snapshot({ deferred }), { refresh: 'off' });
  const [, rows = ''] = text.split('<h2 id="deferred">Deferred deliveries</h2>');
  const cells = [...rows.slice(0, rows.indexOf('</table>')).matchAll(/<td data-label="([^"]+)">(.*?)<\/td>/g)].map(
    ([, head, value = '']) =>
      `${head}: ${value
        .replaceAll(/<[^>]+>/g, ' ')
        .replaceAll(/ +/g, ' ')
        .trim()}`,
  );
  expect(cells.slice(0, 6)).toEqual([
    'Came: 60 s ago',
    `Event: ${first.id} route /notify`,
    'State: ● waiting',
    'Sent again: 3',
    'Last failure: 503',
    'Next try: in 8 s',
  ]);
  expect(cells.filter((cell) => cell.startsWith('Next try'))).toEqual([
    'Next try: in 8 s',
    'Next try: only when asked',
    'Next try: when it is its turn',
    'Next try: once it can be verified',
  ]);
  expect(cells).toContain('Event: unread not read yet');
  expect(cells).toContain('Event: unverified no known route');
  const idle = renderStatusPage(snapshot({ deferred: { ...deferred, sends: false } }), { refresh: 'off' });
  expect(idle).not.toContain('in 8 s');
  expect(text).toContain('body 1MiB');
  const route = { ...NOTIFY, redeliver: 72 * HOUR };
  expect(renderStatusPage(snapshot({ routes: [route] }), { refresh: 'off' })).toContain('sent again for 3 days');
});

test('a secret that deferred deliveries need is kept, whatever else speaks for its removal', () => {
  const next = { ...CURRENT, id: 'next', lastMatch: NOW / 1000 - 60 };
  const old: SecretStatus = { ...CURRENT, id: 'old', lastMatch: NOW / 1000 - 10_800, deferred: 12 };
  const both = { ...NOTIFY, secretIds: ['old', 'next'], liveSecrets: 2 };
  const verdict = (secret: SecretStatus, deferred: DeferredStatus | null = DEFERRED) =>
    secretVerdict(secret, snapshot({ routes: [both], secrets: [old, next], deferred }));
  expect(verdict(old)).toBe('keep it: 12 deferred deliveries are signed with it');
  expect(verdict({ ...old, deferred: 1, state: 'expired', notAfter: NOW - 1 })).toBe(
    'expired, but keep it: 1 deferred delivery is signed with it',
  );
  expect(verdict({ ...old, deferred: 0 })).toMatch(/can be removed once/);
  expect(verdict({ ...old, deferred: 0 }, { ...DEFERRED, unread: 3 })).toBe(
    'keep it until 3 deferred deliveries have been read: it may sign some',
  );
  expect(verdict({ ...old, id: 'next.previous', notAfter: NOW + 5 * HOUR })).toBe(
    '12 deferred deliveries are signed with it, and not sent any more after its end in 5 h',
  );
});
