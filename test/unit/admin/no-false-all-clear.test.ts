// The page never says that all is well while deliveries are lost: one row for each cause. Each is looked at when its
// last request has just come, and again 40 minutes later, at the four deliveries an hour that a shop gets.
import { beforeEach, describe, expect, test, vi } from 'vitest';
import { type Advice, adviceFor, type State, type Topic } from '../../../src/admin/advice.ts';
import { RecentRequests } from '../../../src/admin/recent-requests.ts';
import type { StatusSnapshot } from '../../../src/admin/status-snapshot.ts';
import { REASON_NAMES, REASONS } from '../../../src/core/decision.ts';
import { OVERLOAD_HINTS } from '../../../src/core/overload-hints.ts';
import type { RequestRecord } from '../../../src/core/request-record.ts';
import { accepted, CURRENT, NOTIFY, NOW, refused, snapshot } from '../metrics/fixtures.ts';

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
  readonly expected: readonly [State, Topic, message: RegExp, remedy: RegExp];
  /** Another item that is there at first. */
  readonly also?: RegExp;
  /** The state after 40 silent minutes, where it is another one. */
  readonly later?: State;
}

function lookAt(
  { requests = [], spacing = 15 * MINUTE, state = {} }: Omit<Cause, 'expected'>,
  silence: number,
): readonly Advice[] {
  const recent = new RecentRequests();
  for (const [at, request] of requests.entries()) {
    vi.setSystemTime(NOW - (requests.length - 1 - at) * spacing);
    recent.record(request);
  }
  vi.setSystemTime(NOW + silence);
  const { routes = [NOTIFY, REJECT], ...others } = state;
  const now = NOW + silence;
  const shown = routes.map((route) => ({ ...route, traffic: recent.traffic.of(route.path) }));
  return adviceFor(snapshot({ startedAt: NOW - DAY, now, ...recent.view(), ...others, routes: shown }));
}

const times = (count: number, record: RequestRecord) => new Array<RequestRecord>(count).fill(record);
const HELD = times(4, accepted());
const HINT_OLD = 'signed with secret "old", which has expired (expired at 2026)';
const appSays = (status: number) => accepted({ status, upstreamStatus: status, bodySha256: 'ab12ab12ab12ab12' });
const noAnswer = (changes: Partial<RequestRecord>) => accepted({ status: 502, upstreamStatus: 0, ...changes });

const CAUSES: Readonly<Record<string, Cause>> = {
  'the app answers 500 to every delivery': {
    requests: times(4, appSays(500)),
    expected: [
      'failed',
      'deliveries',
      /The app answered 500 to the last 4 deliveries to \/notify, a failure for the sender, the last time 0 s ago\. The app has taken none/,
      /log of the app/,
    ],
  },
  'the app answered 500 to the last delivery': {
    requests: [...HELD, appSays(500)],
    expected: [
      'warning',
      'deliveries',
      /^The app answered 500 to the last delivery to \/notify, a failure for the sender, 0 s ago\.$/,
      /log of the app/,
    ],
  },
  'the app answers 404 to every delivery': {
    requests: times(4, appSays(404)),
    expected: ['failed', 'deliveries', /The app answered 404 to the last 4 deliveries/, /Does the app serve this path/],
  },
  'the app answers 404 to every second delivery': {
    requests: [appSays(404), accepted(), appSays(404), accepted()],
    expected: [
      'warning',
      'deliveries',
      /answered 4xx to a delivery to \/notify 15 min ago, and the app took others since/,
      /Does the app/,
    ],
  },
  'the sender leaves every second delivery': {
    requests: [noAnswer({ status: 499, reason: 'client_closed' }), accepted()],
    expected: [
      'warning',
      'deliveries',
      /sender left before the app answered a delivery to \/notify 15 min ago/,
      /answer first/,
    ],
  },
  'the app is down': {
    requests: [...HELD, ...times(2, noAnswer({ upstreamFailure: 'connect', upstreamError: 'ECONNREFUSED' }))],
    state: {
      upstream: { url: 'http://app:3000', reachable: false, error: 'ECONNREFUSED', exposed: false, exposure: 'off' },
    },
    expected: ['failed', 'upstream', /http:\/\/app:3000 accepts no connections \(ECONNREFUSED\)/, /Start it/],
  },
  'the app was down, and came back': {
    requests: [...HELD, ...times(2, noAnswer({ upstreamFailure: 'connect', upstreamError: 'ECONNREFUSED' }))],
    expected: [
      'failed',
      'deliveries',
      /no whole answer to the last 2 deliveries to \/notify \(connect, ECONNREFUSED\)/,
      /find the events/,
    ],
  },
  'the app’s certificate is not trusted': {
    state: {
      upstream: {
        url: 'https://app:3000',
        reachable: false,
        error: 'DEPTH_ZERO_SELF_SIGNED_CERT',
        exposed: false,
        exposure: 'off',
      },
    },
    expected: ['failed', 'upstream', /TLS to the upstream https:\/\/app:3000 fails/, /upstream\.tls\.caFile/],
  },
  'answers are cut after they began': {
    requests: [...HELD, ...times(2, accepted({ upstreamFailure: 'reset' }))],
    expected: [
      'failed',
      'deliveries',
      /no whole answer to the last 2 deliveries to \/notify \(reset\)/,
      /look at the app and its log/,
    ],
  },
  'the app never answers': {
    requests: [...HELD, ...times(2, noAnswer({ status: 504, upstreamFailure: 'timeout' }))],
    expected: [
      'failed',
      'deliveries',
      /no whole answer to the last 2 deliveries to \/notify \(timeout\)/,
      /look at the app and its log/,
    ],
  },
  'the sender leaves before the app answers': {
    requests: [...HELD, ...times(2, noAnswer({ status: 499, reason: 'client_closed' }))],
    expected: [
      'failed',
      'deliveries',
      /The sender left before the app answered the last 2 deliveries/,
      /Let the app answer first/,
    ],
  },
  'the proxy is full before anything is verified': {
    requests: times(4, refused({ reason: 'overloaded', status: 503 })),
    expected: [
      'failed',
      'refusals',
      /4 signed requests of the last hour got 503: the proxy was full, and none was acc/,
      /slow, or do bodies trickle in/,
    ],
  },
  'the proxy is full after it has verified': {
    requests: times(4, refused({ reason: 'overloaded', status: 503, secret: 'current', hint: OVERLOAD_HINTS.slots })),
    expected: ['failed', 'refusals', /4 signed requests .* got 503: no place in upstream\.connections/, /app slow/],
  },
  'the proxy is full, and takes every second delivery': {
    requests: [
      ...HELD,
      ...times(15, refused({ reason: 'overloaded', status: 503, hint: OVERLOAD_HINTS.bytes })),
      accepted(),
    ],
    spacing: MINUTE,
    expected: [
      'failed',
      'refusals',
      /15 signed .* got 503: limits\.bufferedBytes is used up/,
      /raise limits\.bufferedBytes/,
    ],
  },
  'the proxy was full an hour ago': {
    requests: [refused({ reason: 'overloaded', status: 503, secret: 'current', hint: OVERLOAD_HINTS.slots }), ...HELD],
    expected: [
      'warning',
      'deliveries',
      /1 delivery of the last day .* \(overloaded, no place in upstream/,
      /app slow.*Then find/,
    ],
  },
  'the store of delivered events failed, and refused': {
    requests: times(4, refused({ reason: 'overloaded', status: 503, secret: 'current', hint: OVERLOAD_HINTS.store })),
    expected: ['failed', 'refusals', /got 503: the store of delivered events fails/, /^Bring the store back/],
  },
  'the app answers 500 to one in four': {
    requests: [accepted(), appSays(500), ...times(3, accepted())],
    spacing: MINUTE,
    expected: [
      'warning',
      'deliveries',
      /1 delivery .* ago \(the app answered 500\)/,
      /^Look at the log of the app\. Then find/,
    ],
  },
  'the secret was never the right one': {
    requests: times(4, refused()),
    expected: [
      'failed',
      'signatures',
      /No signature was accepted on \/notify since the start.* another secret .* body was changed in front of the proxy/,
      /probe .*401, the front changes bodies.*decompresses/,
    ],
  },
  'the secret was changed at Entrupy alone': {
    requests: [...HELD, ...times(4, refused())],
    expected: [
      'failed',
      'signatures',
      /No signature was accepted on \/notify for 60 min; 4 were refused/,
      /signed probe/,
    ],
  },
  'the secret was changed at Entrupy alone, one delivery ago': {
    requests: [...HELD, refused()],
    expected: [
      'warning',
      'signatures',
      /No signature was accepted on \/notify for 15 min; 1 was refused/,
      /signed probe/,
    ],
  },
  'the front re-serialises bodies': {
    requests: times(4, refused({ hint: 'the body was re-serialised on the way (JSON compact matches)' })),
    expected: ['failed', 'signatures', /Likely cause: the body was re-serialised/, /in front of the proxy/],
  },
  'a sender has an expired secret, or it has leaked': {
    requests: [...HELD, refused({ reason: 'expired_secret', hint: HINT_OLD })],
    state: { secrets: [CURRENT, { ...CURRENT, id: 'old', state: 'expired', notAfter: NOW - DAY }] },
    expected: [
      'warning',
      'signatures',
      /192\.0\.2\.7 signed with secret old, expired at 2026-11-23 12:00 UTC, the last time/,
      /If you do not, that secret has leaked.*clock of this machine says 2026-11-24/,
    ],
  },
  'a leak is used before newer forged signatures': {
    requests: [...HELD, refused({ reason: 'expired_secret', hint: HINT_OLD }), ...times(3, refused()), accepted()],
    spacing: MINUTE,
    state: { secrets: [CURRENT, { ...CURRENT, id: 'old', state: 'expired', notAfter: NOW - DAY }] },
    expected: ['warning', 'signatures', /signed with secret old, expired at/, /that secret has leaked/],
  },
  'a leak is used, and then every signature is refused': {
    requests: [...HELD, refused({ reason: 'expired_secret', hint: HINT_OLD }), ...times(3, refused())],
    state: { secrets: [CURRENT, { ...CURRENT, id: 'old', state: 'expired', notAfter: NOW - DAY }] },
    expected: ['failed', 'signatures', /No signature was accepted/, /signed probe/],
    also: /192\.0\.2\.7 signed with secret old, expired at/,
  },
  'a sender has a secret that is not valid yet': {
    requests: [
      ...HELD,
      refused({ reason: 'expired_secret', hint: 'signed with secret "next", which is not valid yet' }),
    ],
    state: { secrets: [CURRENT, { ...CURRENT, id: 'next', state: 'not_yet', notBefore: NOW + DAY }] },
    expected: [
      'warning',
      'signatures',
      /signed with secret next, not valid before 2026-11-25/,
      /^The clock of this machine says [^.]*; if it is right, correct the secret's notBefore\.$/,
    ],
  },
  'the secret was changed at Entrupy alone, a minute ago': {
    requests: [...HELD, ...times(2, refused())],
    spacing: MINUTE,
    expected: [
      'warning',
      'signatures',
      /2 signatures .* beside 4 accepted, the last one 2 min ago; 2 refused since/,
      /add that one here/,
    ],
  },
  'a front compresses bodies': {
    requests: times(4, refused({ hint: 'the body was signed before it was compressed' })),
    expected: [
      'failed',
      'signatures',
      /Likely cause: the body was signed before/,
      /in front .* compresses.*turn that off/,
    ],
  },
  'the secret was copied with a line break': {
    requests: times(4, refused({ hint: 'the secret was used with a trailing newline' })),
    expected: ['failed', 'signatures', /trailing newline/, /in the same form here and at Entrupy/],
  },
  'a forger tries a quiet route': {
    requests: [...HELD, ...times(3, refused())],
    expected: ['failed', 'signatures', /or a forger sent it: none got through/, /add that one here/],
  },
  'the address at Entrupy is that of a route that rejects': {
    requests: times(4, refused({ reason: 'route_rejected', status: 404, route: '/old/*' })),
    expected: [
      'warning',
      'refusals',
      /4 signed requests of the last hour came to a path that is rejected/,
      /address at Entrupy/,
    ],
  },
  'deliveries are larger than maxBody': {
    requests: times(4, refused({ reason: 'body_too_large', status: 413 })),
    expected: ['warning', 'refusals', /body larger than maxBody, and none was accepted/, /raise maxBody/],
  },
  'bodies come too slowly': {
    requests: times(4, refused({ reason: 'body_timeout', status: 408 })),
    expected: ['warning', 'refusals', /did not send their body in time/, /limits\.bodyTimeout/],
  },
  'the front leaves in the middle of bodies': {
    requests: times(4, refused({ reason: 'client_closed', status: 499 })),
    expected: ['warning', 'refusals', /ended early, since their client left/, /timeouts/],
  },
  'no secret is live, and deliveries come': {
    requests: times(2, refused({ reason: 'no_live_secret', status: 503 })),
    state: {
      routes: [
        { ...NOTIFY, liveSecrets: 0 },
        { ...NOTIFY, path: '/other', liveSecrets: 0 },
      ],
    },
    expected: ['failed', 'secrets', /No secret is live on \/notify, \/other, so senders get 503/, /Store a value/],
    also: /2 signed requests of the last hour got 503 while no secret was live/,
  },
  'a flood of unsigned requests': {
    requests: [accepted(), ...times(9, refused({ reason: 'missing_signature', signed: false }))],
    spacing: MINUTE / 10,
    expected: ['warning', 'refusals', /9 requests without a signature .* 1 delivery got through\./, /Ignore them/],
    later: 'ok',
  },
  'no secret is live': {
    state: { routes: [{ ...NOTIFY, liveSecrets: 0 }] },
    expected: ['failed', 'secrets', /No secret is live on \/notify, so senders get 503/, /Store a value/],
  },
  'no secret was live for a while': {
    requests: times(2, refused({ reason: 'no_live_secret', status: 503 })),
    expected: ['warning', 'refusals', /got 503 while no secret was live/, /as lost/],
  },
  'the host’s clock is wrong': {
    state: {
      routes: [{ ...NOTIFY, liveSecrets: 0 }],
      secrets: [{ ...CURRENT, state: 'not_yet', notBefore: NOW + DAY }],
    },
    expected: [
      'failed',
      'secrets',
      /No secret is live/,
      /clock of this machine says 2026-11-24 1\d:\d\d UTC: if that is wrong, set the clock/,
    ],
  },
  'a secret expires in an hour': {
    state: { secrets: [{ ...CURRENT, notAfter: NOW + 100 * MINUTE }] },
    expected: ['warning', 'secrets', /expires in .*\. From then on senders to \/notify get 503/, /Add its successor/],
  },
  'the old value ended, and nothing has matched the new one': {
    requests: HELD,
    state: { secrets: [{ ...CURRENT, changedAt: NOW - DAY }] },
    expected: [
      'warning',
      'secrets',
      /value of current that was loaded .* has verified nothing yet/,
      /the one set at Entrupy/,
    ],
  },
  'the old value ends soon, and nothing has matched the new one': {
    state: {
      routes: [{ ...NOTIFY, secretIds: ['current', 'current.previous'], liveSecrets: 2 }],
      secrets: [
        { ...CURRENT, changedAt: NOW - DAY },
        { ...CURRENT, id: 'current.previous', changedAt: NOW - DAY, notAfter: NOW + 60 * MINUTE },
      ],
    },
    expected: [
      'warning',
      'secrets',
      /new value of current has verified nothing yet, and the old one ends in/,
      /Entrupy/,
    ],
  },
  'the store of delivered events fails, and refuses': {
    state: { once: { store: 'redis', entries: 0, trouble: 'ECONNREFUSED', onStoreFailure: 'refuse' } },
    expected: [
      'failed',
      'once',
      /fails: ECONNREFUSED.*routes with once answer 503/,
      /^Bring the store back, or correct once\.store/,
    ],
  },
  'the store of delivered events fails, and forwards': {
    state: { once: { store: 'redis', entries: 0, trouble: 'WRONGPASS', onStoreFailure: 'forward' } },
    expected: ['warning', 'once', /events may be delivered twice/, /^Correct once\.passwordFile\.$/],
  },
  'another app shares the store, and gets the events': {
    requests: times(4, accepted({ decision: 'duplicate', upstreamStatus: 0 })),
    state: { once: { store: 'redis', entries: 0, trouble: null, onStoreFailure: 'forward' } },
    expected: ['warning', 'once', /All [34] deliveries of the last hour were duplicates/, /once\.name/],
    later: 'ok',
  },
  'the log drops lines': {
    state: { log: { dropped: 7, lastDropped: NOW } },
    expected: ['warning', 'log', /did not take 7 lines/, /Make room/],
  },
  'a reload fails': {
    requests: HELD,
    state: { lastReload: { ok: false, at: NOW, error: 'config.yaml:3: unknown key' } },
    expected: ['warning', 'reload', /last reload failed.*config\.yaml:3/, /check-config/],
  },
  'a route only reports': {
    requests: times(4, refused({ decision: 'reported', status: 200, upstreamStatus: 200 })),
    state: { routes: [{ ...NOTIFY, mode: 'report' }] },
    expected: ['warning', 'signatures', /4 would have been refused/, /signed probe/],
  },
  'a certificate ends in two days': {
    requests: HELD,
    state: { certificates: [{ certificate: 'listen', file: '/tls/tls.crt', notBefore: 0, notAfter: NOW + 2 * DAY }] },
    expected: ['failed', 'certificates', /in \/tls\/tls\.crt expires in .* at 2026-11-26 12:00 UTC/, /Replace/],
  },
  'a certificate has ended': {
    requests: HELD,
    state: { certificates: [{ certificate: 'upstream_client', file: '/tls/c.crt', notBefore: 0, notAfter: NOW - 1 }] },
    expected: ['failed', 'certificates', /c\.crt expired at .*: the upstream refuses to connect/, /Replace/],
  },
  'a certificate has not begun': {
    state: {
      certificates: [{ certificate: 'listen', file: '/tls/c.crt', notBefore: NOW + DAY, notAfter: NOW + 2 * DAY }],
    },
    expected: ['failed', 'certificates', /is not valid before/, /clock of this machine says/],
  },
  'clients hold all connections': {
    requests: HELD,
    state: { connections: { open: 1024, limit: 1024 } },
    expected: ['warning', 'connections', /All 1024 connections are in use/, /limits\.connections/],
  },
  'clients can bypass the proxy': {
    state: {
      upstream: { url: 'http://127.0.0.1:3000', reachable: true, error: null, exposed: true, exposure: 'exposed' },
    },
    expected: ['warning', 'exposed', /bypass the proxy/, /127\.0\.0\.1/],
  },
  'it is not ready': {
    state: { ready: false, causes: ['not listening yet'] },
    expected: ['warning', 'ready', /Not ready: not listening yet/, /no requests/],
  },
  'it drains': {
    state: { ready: false, draining: true },
    expected: ['warning', 'ready', /Draining/, /10 minutes/],
  },
};

describe.each(Object.entries(CAUSES))('%s', (_, cause) => {
  const [state, id, message, remedy] = cause.expected;

  test('is the headline', () => {
    const advice = lookAt(cause, 0);
    const [headline] = advice;
    if (cause.also !== undefined) expect(advice.map((item) => item.message).join('\n')).toMatch(cause.also);
    expect(headline).toMatchObject({
      state,
      id,
      message: expect.stringMatching(message),
      remedy: expect.stringMatching(remedy),
    });
  });

  test('is not forgotten after 40 silent minutes', () => {
    const [headline] = lookAt(cause, 40 * MINUTE);
    if (cause.later === undefined) expect(headline).toMatchObject({ id: expect.not.stringMatching(/^all$/) });
    else expect(headline?.state).toBe(cause.later);
  });
});

test.each<[string, readonly RequestRecord[], silence: number, RegExp]>([
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
  ],
  [
    'nothing came',
    [],
    0,
    /^Nothing is wrong, and nothing is proven yet: no delivery has reached the app since the start/,
  ],
])('all is well where %s', (_, requests, silence, message) => {
  expect(lookAt({ requests }, silence * MINUTE)).toEqual([
    expect.objectContaining({ state: 'ok', id: 'all', message: expect.stringMatching(message) }),
  ]);
});

test('what stands for weeks does not hide what happens: it comes last', () => {
  const config = { file: null, sha256: '', warnings: ['unmatched: forward'], awaitingRestart: [] };
  const secrets = [{ ...CURRENT, problem: 'it is short' }];
  const routes = [{ ...NOTIFY, mode: 'report' } as const];
  const advice = lookAt({ requests: [...HELD, appSays(500)], state: { config, secrets, routes } }, 0);
  expect(advice.map(({ id }) => id)).toEqual(['deliveries', 'deliveries', 'secrets', 'report-mode', 'configuration']);
});

test('strangers may be ignored only where they sent no signature', () => {
  const IGNORE = /Ignore them/;
  for (const reason of REASON_NAMES) {
    for (const signed of [true, false]) {
      const advice = lookAt({ requests: [refused({ reason, signed, status: REASONS[reason].status })] }, 0);
      const ignoring = advice.some(({ message, remedy }) => IGNORE.test(message + remedy));
      expect(ignoring, `${reason}, ${signed ? 'signed' : 'unsigned'}`).toBe(reason === 'missing_signature' && !signed);
    }
  }
});
