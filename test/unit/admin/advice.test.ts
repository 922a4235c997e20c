import { readFileSync } from 'node:fs';
import { expect, test, vi } from 'vitest';
import { adviceFor } from '../../../src/admin/advice.ts';
import { PAGES } from '../../../src/admin/advice-pages.ts';
import { RecentRequests } from '../../../src/admin/recent-requests.ts';
import { secretVerdict } from '../../../src/admin/secret-verdict.ts';
import type { StatusSnapshot } from '../../../src/admin/status-snapshot.ts';
import { anchorsOf } from '../../support/metrics/seen.ts';
import { accepted, CURRENT, NOTIFY, NOW, QUIET, refused, snapshot } from '../metrics/fixtures.ts';

vi.useFakeTimers({ now: NOW });

function headline(changes: Partial<StatusSnapshot>): string {
  const [first] = adviceFor(snapshot(changes));
  return `${first?.state}: ${first?.message} ${first?.remedy}`;
}

const gated = new RecentRequests();
gated.record(
  refused({
    reason: 'bad_request',
    rule: 'route-headers',
    header: 'x-forwarded-prefix',
    hint: 'route /notify needs allowHeaders: [x-forwarded-prefix]',
  }),
);

const gone = new RecentRequests();
gone.record(accepted({ status: 502, upstreamFailure: 'connect' }));

test.each<[string, Partial<StatusSnapshot>, RegExp]>([
  ['every request was served', { recent: { ...QUIET, accepted: 7 } }, /^ok: All is well: 7 requests served/],
  [
    'a route has no live secret',
    { routes: [{ ...NOTIFY, liveSecrets: 0 }] },
    /^failed: No secret is live on \/notify, so senders get 503\. Store a value where current/,
  ],
  [
    'its only secret has expired',
    {
      routes: [{ ...NOTIFY, liveSecrets: 0 }],
      secrets: [{ ...CURRENT, state: 'expired', notAfter: Date.parse('2026-11-20T08:30:00Z') }],
    },
    /^failed: No secret is live on \/notify, so senders get 503\. Secret current expired at 2026-11-20 08:30 UTC\. The clock of this machine says 2026-11-24 12:00 UTC: .* add its successor/,
  ],
  [
    'its only secret has not begun',
    {
      routes: [{ ...NOTIFY, liveSecrets: 0 }],
      secrets: [{ ...CURRENT, state: 'not_yet', notBefore: Date.parse('2026-12-01T00:00:00Z') }],
    },
    /^failed: .*Secret current is not valid before 2026-12-01 00:00 UTC\. The clock of this machine says 2026-11-24 12:00 UTC: if that is wrong, set the clock; if it is right, correct its notBefore/,
  ],
  [
    'one of two has expired',
    {
      routes: [{ ...NOTIFY, secretIds: ['current', 'old'] }],
      secrets: [CURRENT, { ...CURRENT, id: 'old', state: 'expired', notAfter: NOW - 1 }],
    },
    /^warning: Secret old expired at 2026-11-24 11:59 UTC\. Remove it/,
  ],
  [
    'one of two has expired, and the other one verifies',
    {
      routes: [{ ...NOTIFY, secretIds: ['current', 'old'] }],
      secrets: [
        { ...CURRENT, lastMatch: 9 },
        { ...CURRENT, id: 'old', state: 'expired', notAfter: NOW - 1 },
      ],
    },
    /^ok: Nothing is wrong/,
  ],
  [
    'a route names no secret',
    { routes: [{ ...NOTIFY, secretIds: [], liveSecrets: 0 }] },
    /^failed: .*Add one under secrets/,
  ],
  [
    'a reporting route has no live secret',
    { routes: [{ ...NOTIFY, mode: 'report', liveSecrets: 0 }] },
    /^warning: No secret is live on \/notify, so nothing there is verified/,
  ],
  [
    'the upstream is down',
    {
      upstream: {
        url: 'http://127.0.0.1:3000',
        reachable: false,
        error: 'ECONNREFUSED',
        exposed: false,
        exposure: 'off',
      },
    },
    /^failed: The upstream http:\/\/127\.0\.0\.1:3000 accepts no connections \(ECONNREFUSED\)\. Start it/,
  ],
  [
    'the upstream failed some requests',
    { recent: { ...QUIET, accepted: 9, upstreamFailures: 1 } },
    /^warning: The upstream failed 1 request in the last 5 minutes/,
  ],
  [
    'the upstream is exposed',
    { upstream: { url: 'http://127.0.0.1:3000', reachable: true, error: null, exposed: true, exposure: 'exposed' } },
    /^warning: Clients can bypass the proxy and reach the upstream/,
  ],
  [
    'requests have no signature',
    { recent: { ...QUIET, accepted: 9, rejected: 40, reasons: { missing_signature: 40 } } },
    /^warning: 40 requests without a signature were refused .*mostly missing_signature\. 9 deliveries got through\. Ignore them if you do not know/,
  ],
  [
    'something in front adds a header',
    { recent: { ...QUIET, rejected: 4, signedReasons: { bad_request: 4 } }, refusals: gated.view().refusals },
    /^warning: 4 signed requests of the last hour broke a rule \(rule route-headers, header x-forwarded-prefix\), and none was accepted\. .*something in front of the proxy changes their requests\. To let them pass: route \/notify needs allowHeaders/,
  ],
  [
    'a scanner probes the port',
    { recent: { ...QUIET, accepted: 9, rejected: 40, noise: 40 } },
    /^ok: All is well: 9 requests served and no delivery refused in the last 5 minutes\. 40 others were refused, as on any public port\. Nothing to do\./,
  ],
  [
    'deliveries may be lost',
    { undelivered: gone.view().undelivered },
    /^warning: 1 delivery of the last day may be lost, the last one 0 s ago \(connect\): Entrupy documents no retry.*Then find the events again.*retryConnectFor/,
  ],
  [
    'a secret expires',
    { secrets: [{ ...CURRENT, notAfter: NOW + 3 * 86_400_000 }] },
    /^warning: Secret current expires in 3 days, at 2026-11-27 12:00 UTC/,
  ],
  [
    'senders still use a replaced value',
    {
      secrets: [
        CURRENT,
        { ...CURRENT, id: 'current.previous', notAfter: NOW + 5 * 3_600_000, lastMatch: NOW / 1000 - 9 },
      ],
    },
    /^warning: Rotation: senders still sign with the old value of current \(9 s ago\), which ends in 5 h\. Switch them/,
  ],
  [
    'a secret is unusable',
    { secrets: [{ ...CURRENT, state: 'unusable', problem: 'it is empty' }] },
    /^warning: Secret current cannot be used .*it is empty/,
  ],
  ['a route is in report mode', { routes: [{ ...NOTIFY, mode: 'report' }] }, /^warning: \/notify only reports/],
  [
    'the configuration has a warning',
    { config: { file: null, sha256: '', warnings: ['unmatched: forward'], awaitingRestart: [] } },
    /^warning: Configuration: unmatched/,
  ],
])('%s', (_, changes, expected) => {
  expect(headline(changes)).toMatch(expected);
});

test('problems that fail deliveries come before mere warnings', () => {
  const advice = adviceFor(
    snapshot({
      routes: [
        { ...NOTIFY, path: '/a', mode: 'report' },
        { ...NOTIFY, liveSecrets: 0 },
      ],
      draining: true,
    }),
  );
  expect(advice.map(({ state }) => state)).toEqual(['failed', 'warning', 'warning']);
});

test('an expired report mode and a replaced value that is due to expire need no action', () => {
  const calm = snapshot({
    routes: [{ ...NOTIFY, mode: 'report', reportUntil: NOW - 1 }],
    secrets: [{ ...CURRENT, id: 'current.previous', notAfter: NOW + 1000 }],
  });
  expect(new Set(adviceFor(calm).map(({ state }) => state))).toEqual(new Set(['ok']));
});

test('a healthy rotation is mentioned below the headline', () => {
  const previous = { ...CURRENT, id: 'current.previous', notAfter: NOW + 5 * 3_600_000, lastMatch: NOW / 1000 - 7200 };
  const current = { ...CURRENT, lastMatch: NOW / 1000 - 60 };
  const [first, second, ...more] = adviceFor(snapshot({ secrets: [current, previous] }));
  expect([first?.state, second?.state, more]).toEqual(['ok', 'ok', []]);
  expect(second?.message).toMatch(
    /^Rotation: nobody has signed with the old value of current .* expires by itself in 5 h\.$/,
  );
});

test('each secret has a verdict on whether it can be removed', () => {
  const hours = (count: number) => NOW / 1000 - count * 3600;
  const old = { ...CURRENT, id: 'old', lastMatch: hours(3) };
  const next = { ...CURRENT, id: 'next', lastMatch: hours(0.1) };
  const both = { ...NOTIFY, secretIds: ['old', 'next'], liveSecrets: 2 };
  const verdict = (secret: typeof CURRENT, changes: Partial<StatusSnapshot> = {}) =>
    secretVerdict(secret, snapshot({ routes: [both], secrets: [old, next], ...changes }));
  expect(verdict(old)).toBe('verified nothing for 3 h; can be removed once that is longer than your sender retries');
  expect(verdict(next)).toBe('in use: keep it');
  expect(verdict({ ...old, lastMatch: 0 })).toMatch(
    /^verified nothing since the start, \d+ min ago; can be removed once/,
  );
  expect(verdict(old, { routes: [both, { ...NOTIFY, path: '/other', secretIds: ['old'], liveSecrets: 1 }] })).toBe(
    'the only live secret of /other: keep it (it has verified nothing for 3 h)',
  );
  expect(verdict(old, { secrets: [old, { ...next, lastMatch: 0 }] })).toMatch(/too early to tell$/);
  const previous = { ...old, id: 'next.previous', notAfter: NOW + 5 * 3_600_000 };
  expect(verdict(previous)).toBe('verified nothing for 3 h; expires by itself in 5 h');
  expect(verdict({ ...old, state: 'expired' })).toBe('expired: can be removed');
  expect(verdict({ ...old, state: 'unusable' })).toMatch(/^cannot be used/);
  expect(verdict({ ...old, state: 'not_yet', notBefore: NOW })).toBe('not valid before 2026-11-24 12:00 UTC');
});

test('each item of the advice says what to do, and names a section that exists', () => {
  for (const page of Object.values(PAGES)) {
    const [file = '', anchor] = page.split('#');
    const text = readFileSync(new URL(`../../../docs/${file}`, import.meta.url), 'utf8');
    if (anchor !== undefined) expect(anchorsOf(text), page).toContain(anchor);
  }
});
