// The page never says that all is well while deliveries are lost: one row for each cause. Each is looked at when its
// last request has just come, and again 40 minutes later, at the four deliveries an hour that a shop gets.
import { beforeEach, describe, expect, test, vi } from 'vitest';
import { type Advice, adviceFor } from '../../../src/admin/advice/advice.ts';
import type { State } from '../../../src/admin/advice/words.ts';
import { RefusalsAndLosses } from '../../../src/admin/refusals-and-losses.ts';
import type { StatusSnapshot } from '../../../src/admin/snapshot.ts';
import { OVERLOAD_HINTS } from '../../../src/core/hint.ts';
import { REASON_NAMES, REASONS } from '../../../src/core/reasons.ts';
import type { RequestRecord } from '../../../src/core/request-record.ts';
import type { Diagnosis } from '../../../src/health/diagnoses.ts';
import { accepted, CURRENT, DEFERRED, hint, NOTIFY, NOW, refused, settle, snapshot } from '../metrics/fixtures.ts';

const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;
const REJECT = { ...NOTIFY, path: '/old/*', action: 'reject' } as const;

beforeEach(() => void vi.useFakeTimers({ now: NOW }));

interface Cause {
  /** Requests, `spacing` apart (a quarter of an hour), the last one at NOW. */
  readonly requests?: readonly RequestRecord[];
  readonly spacing?: number;
  /** What the snapshot has besides. */
  readonly state?: Partial<StatusSnapshot>;
  readonly headline: `${State} ${Diagnosis}`;
  readonly says: RegExp;
  /** Another item that is there at first. */
  readonly also?: RegExp;
  /** What is told within the headline. */
  readonly follows?: readonly Diagnosis[];
  /** The state after 40 silent minutes, where it is another one. */
  readonly later?: State;
}

function lookAt(
  { requests = [], spacing = 15 * MINUTE, state = {} }: Omit<Cause, 'headline' | 'says'>,
  silence: number,
): readonly Advice[] {
  const recent = new RefusalsAndLosses();
  for (const [at, request] of requests.entries()) {
    vi.setSystemTime(NOW - (requests.length - 1 - at) * spacing);
    settle(recent, request);
  }
  vi.setSystemTime(NOW + silence);
  const { routes = [NOTIFY, REJECT], ...others } = state;
  const now = NOW + silence;
  const shown = routes.map((route) => ({ ...route, traffic: recent.traffic.of(route.path) }));
  return adviceFor(snapshot({ startedAt: NOW - DAY, now, ...recent.view(), ...others, routes: shown }));
}

const times = (count: number, record: RequestRecord) => new Array<RequestRecord>(count).fill(record);
const HELD = times(4, accepted());
const HINT_OLD = hint('expired-secret', 'signed with secret "old", which has expired (expired at 2026)', 'old');
const appSays = (status: number) => accepted({ status, upstreamStatus: status, bodySha256: 'ab12ab12ab12ab12' });
const noAnswer = (changes: Partial<RequestRecord>) => accepted({ status: 502, upstreamStatus: 0, ...changes });

const CAUSES: Readonly<Record<string, Cause>> = {
  'the app answers 500 to every delivery': {
    requests: times(4, appSays(500)),
    headline: 'failed app-fails',
    says: /The app answered 500 to the last 4 deliveries to \/notify, the last time 0 s ago \(12:00 UTC\)\. The app has taken none since the start\. It began 45 min ago \(11:15 UTC\)/,
  },
  'the app answers 503, so the store is full': {
    requests: times(4, appSays(503)),
    state: { deferred: { ...DEFERRED, problem: 'it is full', state: 'full', turnedAwayAt: NOW } },
    headline: 'failed app-fails',
    says: /The app answered 503 to the last 4 deliveries/,
    follows: ['deliveries-lost', 'store-full', 'deferred-waits'],
  },
  'the app answered 500 to the last delivery': {
    requests: [...HELD, appSays(500)],
    headline: 'warning app-fails',
    says: /^The app answered 500 to the last delivery to \/notify, 0 s ago \(12:00 UTC\)\.$/,
  },
  'the app answers 404 to every second delivery': {
    requests: [appSays(404), accepted(), appSays(404), accepted()],
    headline: 'warning app-refuses',
    says: /answered 404 to a delivery to \/notify 15 min ago \(11:45 UTC\), and took others since/,
  },
  'the sender leaves every second delivery': {
    requests: [noAnswer({ status: 499, reason: 'client_closed' }), accepted()],
    headline: 'warning sender-leaves',
    says: /1 delivery of the last day may be lost \(1 abandoned by their sender\), the last one 15 min ago/,
  },
  'the app is down': {
    requests: [...HELD, ...times(2, noAnswer({ upstreamFailure: 'connect', upstreamError: 'ECONNREFUSED' }))],
    state: {
      upstream: { url: 'http://app:3000', reachable: false, error: 'ECONNREFUSED', exposed: false, exposure: 'off' },
    },
    headline: 'failed app-down',
    says: /http:\/\/app:3000 accepts no connections \(ECONNREFUSED\)/,
  },
  'the app was down, and came back': {
    requests: [...HELD, ...times(2, noAnswer({ upstreamFailure: 'connect', upstreamError: 'ECONNREFUSED' }))],
    headline: 'failed app-down',
    says: /no whole answer to the last 2 deliveries to \/notify \(connect, ECONNREFUSED\)/,
  },
  'the sender leaves before the app answers': {
    requests: [...HELD, ...times(2, noAnswer({ status: 499, reason: 'client_closed' }))],
    headline: 'failed sender-leaves',
    says: /The sender left before the app answered the last 2 deliveries/,
  },
  'the proxy is full before anything is verified': {
    requests: times(4, refused({ reason: 'overloaded', status: 503 })),
    headline: 'failed proxy-full',
    says: /4 signed requests were refused in the last hour, .* and none was accepted: the proxy was full/,
  },
  'the proxy is full, and takes every second delivery': {
    requests: [
      ...HELD,
      ...times(15, refused({ reason: 'overloaded', status: 503, hint: OVERLOAD_HINTS.bytes })),
      accepted(),
    ],
    spacing: MINUTE,
    headline: 'failed bodies-full',
    says: /15 signed .* refused .*: limits\.bufferedBytes is used up/,
  },
  'the proxy was full an hour ago': {
    requests: [refused({ reason: 'overloaded', status: 503, secret: 'current', hint: OVERLOAD_HINTS.slots }), ...HELD],
    headline: 'warning deliveries-lost',
    says: /1 delivery of the last day .* \(overloaded, no place in upstream/,
  },
  'the store of delivered events failed, and refused': {
    requests: times(4, refused({ reason: 'overloaded', status: 503, secret: 'current', hint: OVERLOAD_HINTS.store })),
    headline: 'failed once-store',
    says: /The proxy answered 503 to the last 4 deliveries to \/notify \(the store of delivered events fails/,
  },
  'the app answers 500 to one in four': {
    requests: [accepted(), appSays(500), ...times(3, accepted())],
    spacing: MINUTE,
    headline: 'warning deliveries-lost',
    says: /1 delivery .* ago \(11:57 UTC\) \(500\)/,
  },
  'the secret was never the right one': {
    requests: times(4, refused()),
    headline: 'failed another-secret',
    says: /No signature was accepted on \/notify since the start.* another secret .* body was changed in front of the proxy/,
  },
  'the secret was changed at Entrupy alone': {
    requests: [...HELD, ...times(3, refused())],
    headline: 'failed another-secret',
    says: /No signature was accepted on \/notify for 45 min; 3 were refused.* or a forger sent it/,
  },
  'the secret was changed at Entrupy alone, one delivery ago': {
    requests: [...HELD, refused()],
    headline: 'warning another-secret',
    says: /No signature was accepted on \/notify for 15 min; 1 was refused/,
  },
  'a sender has an expired secret, or it has leaked': {
    requests: [...HELD, refused({ reason: 'expired_secret', hint: HINT_OLD })],
    state: { secrets: [CURRENT, { ...CURRENT, id: 'old', state: 'expired', notAfter: NOW - DAY }] },
    headline: 'warning expired-secret',
    says: /192\.0\.2\.7 signed with secret old, expired at 2026-11-23 12:00 UTC, the last time/,
  },
  'a leak is used before newer forged signatures': {
    requests: [...HELD, refused({ reason: 'expired_secret', hint: HINT_OLD }), ...times(3, refused()), accepted()],
    spacing: MINUTE,
    state: { secrets: [CURRENT, { ...CURRENT, id: 'old', state: 'expired', notAfter: NOW - DAY }] },
    headline: 'warning expired-secret',
    says: /signed with secret old, expired at/,
  },
  'a leak is used, and then every signature is refused': {
    requests: [...HELD, refused({ reason: 'expired_secret', hint: HINT_OLD }), ...times(3, refused())],
    state: { secrets: [CURRENT, { ...CURRENT, id: 'old', state: 'expired', notAfter: NOW - DAY }] },
    headline: 'failed another-secret',
    says: /No signature was accepted/,
    also: /192\.0\.2\.7 signed with secret old, expired at/,
  },
  'a sender has a secret that is not valid yet': {
    requests: [
      ...HELD,
      refused({
        reason: 'expired_secret',
        hint: hint('early-secret', 'signed with secret "next", which is not valid yet', 'next'),
      }),
    ],
    state: { secrets: [CURRENT, { ...CURRENT, id: 'next', state: 'not_yet', notBefore: NOW + DAY }] },
    headline: 'warning early-secret',
    says: /signed with secret next, not valid before 2026-11-25/,
  },
  'the secret was changed at Entrupy alone, a moment ago': {
    requests: [...times(3, accepted()), ...times(5, refused())],
    spacing: 1000,
    headline: 'failed another-secret',
    says: /accepted on \/notify for 5 s; 5 were refused, .* Nothing was changed here since the last one/,
  },
  'the secret was changed here alone': {
    requests: [...HELD, ...times(4, refused())],
    state: { secrets: [{ ...CURRENT, changedAt: NOW - 46 * MINUTE }] },
    headline: 'failed another-secret',
    says: /It began at 11:15 UTC, 60 s after secret current changed\. Likely cause/,
  },
  'a stranger sends five signatures beside many deliveries': {
    requests: [...times(6, accepted()), ...times(5, refused())],
    spacing: 1000,
    headline: 'warning another-secret',
    says: /none of the 5 since/,
    later: 'failed',
  },
  'deliveries are too large, and nothing comes after them': {
    requests: [...HELD, ...times(3, refused({ reason: 'body_too_large', status: 413 }))],
    spacing: 1000,
    headline: 'warning large-body',
    says: /^3 signed requests were refused .*, and none of the 3 since: the body is larger/,
    later: 'warning',
  },
  'a stranger’s signatures come before a delivery': {
    requests: [...times(20, refused()), accepted()],
    spacing: 1000,
    headline: 'warning another-secret',
    says: /20 signed .*; one was accepted there .* UTC\), after them: it is signed/,
  },
  'strangers send many signatures since the last delivery': {
    requests: [accepted(), ...times(24, refused({ client: '198.51.100.9' }))],
    spacing: 1000,
    headline: 'warning another-secret',
    says: /24 signed .* and none of the 24 since: it is signed/,
    later: 'failed',
  },
  'strangers sign to other paths, and deliveries come': {
    requests: [accepted(), ...times(9, refused({ route: 'unmatched', path: '/x' }))],
    spacing: 1000,
    state: { routes: [NOTIFY, { ...NOTIFY, path: 'unmatched' }] },
    headline: 'warning another-secret',
    says: /accepted on \/x \(unmatched: verify\) since the start/,
    later: 'warning',
  },
  'the secret was changed at Entrupy alone, a minute ago': {
    requests: [...HELD, ...times(2, refused())],
    spacing: MINUTE,
    headline: 'warning another-secret',
    says: /2 signed requests .* the last one to \/notify 0 s ago .* one was accepted there 2 min ago \(11:58 UTC\), and none of the 2 since: /,
  },
  'no secret is live, and deliveries come': {
    requests: times(2, refused({ reason: 'no_live_secret', status: 503 })),
    state: {
      routes: [
        { ...NOTIFY, liveSecrets: 0 },
        { ...NOTIFY, path: '/other', liveSecrets: 0 },
      ],
    },
    headline: 'failed no-live-secret',
    says: /No secret is live on \/notify, \/other, so senders get 503/,
    also: /2 signed requests were refused .*a route has nothing to verify with/,
  },
  'a flood of unsigned requests': {
    requests: [accepted(), ...times(9, refused({ reason: 'missing_signature', signed: false }))],
    spacing: MINUTE / 10,
    headline: 'warning no-signature',
    says: /9 requests without a signature .* 1 delivery got through\./,
    later: 'ok',
  },
  'the secret’s file is missing': {
    requests: times(2, refused({ reason: 'no_live_secret', status: 503 })),
    state: {
      ...{ ready: false, causes: ['/notify: no live secret'], routes: [{ ...NOTIFY, liveSecrets: 0 }] },
      secrets: [{ ...CURRENT, state: 'unusable', problem: 'it does not exist' }],
    },
    headline: 'failed secret-problem',
    says: /Secret current cannot be used .*: it does not exist/,
    follows: ['no-live-secret', 'not-ready'],
  },
  'no secret was live for a while': {
    requests: times(2, refused({ reason: 'no_live_secret', status: 503 })),
    headline: 'warning no-live-secret',
    says: /2 signed requests were refused .*a route has nothing to verify with/,
  },
  'the old value ends soon, and nothing has matched the new one': {
    state: {
      routes: [{ ...NOTIFY, secretIds: ['current', 'current.previous'], liveSecrets: 2 }],
      secrets: [
        { ...CURRENT, changedAt: NOW - DAY },
        { ...CURRENT, id: 'current.previous', changedAt: NOW - DAY, notAfter: NOW + 60 * MINUTE },
      ],
    },
    headline: 'warning secret-unproven',
    says: /new value of current has verified nothing yet, and the old one ends in/,
  },
  'the store of delivered events fails, and refuses': {
    state: {
      once: {
        store: 'redis',
        entries: 0,
        problem: 'ECONNREFUSED',
        isKnown: true,
        evicts: null,
        onStoreFailure: 'refuse',
      },
    },
    headline: 'failed once-store',
    says: /fails: ECONNREFUSED.*routes with once answer 503/,
  },
  'the app takes 8 s, and senders give up after 5: all arrive': {
    requests: times(5, accepted({ status: 499, reason: 'client_closed', upstreamMs: 8000, departedMs: 5000 })),
    spacing: MINUTE,
    headline: 'warning slow-app',
    says: /slow on \/notify: 5 deliveries in 15 min took long \(it last answered after 8 s; a sender last left after 5 s\)/,
    later: 'ok',
  },
  'the app is so slow that senders leave': {
    requests: times(5, noAnswer({ status: 499, reason: 'client_closed', departedMs: 4990 })),
    spacing: MINUTE,
    headline: 'failed slow-app',
    says: /slow on \/notify: 5 deliveries in 15 min .* last left after 5 s/,
    follows: ['sender-leaves'],
    also: /The sender left, after 5 s, before the app answered the last 5 deliveries/,
  },
  'the path at Entrupy is not that of the route, and what no route matches is forwarded': {
    requests: times(4, accepted({ route: 'unmatched', path: '/webhooks/x', decision: 'forwarded', secret: null })),
    state: { routes: [NOTIFY, { ...NOTIFY, path: 'unmatched', action: 'forward' }] },
    headline: 'failed signed-unverified',
    says: /4 requests with a signature .* the last to \/webhooks\/x 0 s ago/,
  },
  'a stranger sends signatures beside deliveries': {
    requests: [...HELD, ...times(4, accepted({ route: 'unmatched', path: '/x', decision: 'forwarded', secret: null }))],
    state: { routes: [NOTIFY, { ...NOTIFY, path: 'unmatched', action: 'forward' }] },
    headline: 'warning signed-unverified',
    says: /is your route's path right\?/,
  },
  'a route only reports': {
    requests: times(4, refused({ decision: 'reported', status: 200, upstreamStatus: 200 })),
    state: { routes: [{ ...NOTIFY, mode: 'report' }] },
    headline: 'warning another-secret',
    says: /4 would be refused \(report mode forwarded them\)/,
  },
  'a certificate has ended': {
    requests: HELD,
    state: { certificates: [{ certificate: 'upstream_client', file: '/tls/c.crt', notBefore: 0, notAfter: NOW - 1 }] },
    headline: 'failed certificate-ends',
    says: /c\.crt expired at .*: the upstream refuses to connect/,
  },
};

describe.each(Object.entries(CAUSES))('%s', (_, cause) => {
  test('is the headline', () => {
    const advice = lookAt(cause, 0);
    const [headline] = advice;
    const texts = advice.flatMap((item) => [item, ...item.follows]).map((item) => item.message);
    if (cause.also !== undefined) expect(texts.join('\n')).toMatch(cause.also);
    if (cause.follows !== undefined) expect(headline?.follows.map((item) => item.id)).toEqual(cause.follows);
    expect(`${headline?.state} ${headline?.id}`).toBe(cause.headline);
    expect(headline?.message).toMatch(cause.says);
  });

  test('is not forgotten after 40 silent minutes', () => {
    const [headline] = lookAt(cause, 40 * MINUTE);
    if (cause.later === undefined)
      expect(headline).toMatchObject({ state: expect.stringMatching(/^(?:failed|warning)$/) });
    else expect(headline?.state).toBe(cause.later);
  });
});

test.each<[string, readonly RequestRecord[], silence: number, RegExp, id?: Diagnosis]>([
  ['deliveries came just now', HELD, 0, /^All is well: 1 request served and none refused in the last 5 minutes/],
  ['the last one came a while ago', HELD, 180, /^All is well: the app took the last delivery 3 h ago/],
  [
    'scanners came too',
    [...HELD, refused({ reason: 'missing_signature', method: 'GET', signed: false })],
    0,
    /^All is well: the app took the last delivery 15 min ago.* 1 request was refused, as on any public port/,
  ],
  [
    'a scanner sends odd GETs',
    [refused({ reason: 'bad_request', method: 'GET', signed: false })],
    0,
    /^Nothing is wrong.* 1 request was refused, as on any public port/,
    'nothing-proven',
  ],
  [
    'a probe came each minute, and an unsigned one now and then',
    [...HELD, accepted({ decision: 'probe' }), refused({ reason: 'missing_signature', signed: false })],
    0,
    /^All is well: /,
  ],
  [
    'nothing came',
    [],
    0,
    /^Nothing is wrong, and nothing is proven yet: no delivery has reached the app since the start/,
    'nothing-proven',
  ],
])('all is well where %s', (_, requests, silence, message, id = 'all-is-well') => {
  expect(lookAt({ requests }, silence * MINUTE)).toEqual([
    expect.objectContaining({ state: 'ok', id, message: expect.stringMatching(message) }),
  ]);
});

test('what stands for weeks does not hide what happens: it comes last', () => {
  const config = { file: null, sha256: '', since: NOW, warnings: ['unmatched: forward'], awaitingRestart: [] };
  const secrets = [{ ...CURRENT, note: 'it is short' }];
  const routes = [{ ...NOTIFY, mode: 'report' } as const];
  const advice = lookAt({ requests: [...HELD, appSays(500)], state: { config, secrets, routes } }, 0);
  expect(advice.map(({ id }) => id)).toEqual(['app-fails', 'report-mode', 'secret-value', 'chosen']);
});

test('strangers may be ignored only where they sent no signature', () => {
  const IGNORE = /Ignore them/;
  for (const reason of REASON_NAMES) {
    for (const signed of [true, false]) {
      const advice = lookAt(
        { requests: times(3, refused({ reason, signed, status: REASONS[reason].status })), spacing: 1 },
        0,
      );
      const ignoring = advice.some(({ message, remedy }) => IGNORE.test(message + remedy));
      expect(ignoring, `${reason}, ${signed ? 'signed' : 'unsigned'}`).toBe(reason === 'missing_signature' && !signed);
    }
  }
});

test.each<[string, readonly RequestRecord[], Diagnosis]>([
  ['a failure', times(4, appSays(500)), 'app-fails'],
  ['a refusal', [...HELD, ...times(4, refused())], 'another-secret'],
  ['a body that is too large', [accepted(), refused({ reason: 'body_too_large', status: 413 })], 'large-body'],
])('of %s the page says for how long nothing has come since', (_, requests, id) => {
  const said = (silence: number) => lookAt({ requests }, silence).find((one) => one.id === id)?.message;
  expect(said(0)).not.toContain('Nothing with a signature');
  expect(said(40 * MINUTE)).toMatch(/ Nothing with a signature has come there for 40 min\.$|there for 40 min\. Likely/);
});

test('signatures on a forward route that is named are a note', () => {
  const request = accepted({ route: '/assets/*', path: '/assets/a', decision: 'forwarded', secret: null });
  const routes = [NOTIFY, { ...NOTIFY, path: '/assets/*', action: 'forward' } as const];
  const advice = lookAt({ requests: times(5, request), state: { routes } }, 0);
  expect(advice.map(({ id, state }) => `${state} ${id}`)).toEqual(['ok all-is-well', 'note signed-unverified']);
  expect(advice[1]?.message).toMatch(
    /^5 requests with a signature .* the last to \/assets\/a .* route's path right\?$/,
  );
});
