// Each diagnosis of the one list, made: the page, `check` and the log tell it with one id, one remedy and one page, and
// the runbook, which is generated, too. One without its case does not compile.
import fc from 'fast-check';
import { beforeEach, describe, expect, test, vi } from 'vitest';
import { renderStatusPage } from '../../../src/admin/page/page.ts';
import { statusLines } from '../../../src/commands/check.ts';
import { OVERLOAD_HINTS } from '../../../src/core/hint.ts';
import { REASONS, type Reason } from '../../../src/core/reasons.ts';
import { LOOP } from '../../../src/core/request-diagnosis.ts';
import type { RequestRecord } from '../../../src/core/request-record.ts';
import type { DeferredFacts, Facts, SecretFacts } from '../../../src/facts.ts';
import { causesOf, DIAGNOSES, type Diagnosis, type State } from '../../../src/health/diagnoses.ts';
import { createDiagnosisLog } from '../../../src/health/diagnosis-log.ts';
import type { ApiStatus } from '../../../src/health/health.ts';
import { createLog } from '../../../src/log/log.ts';
import { RequestLog } from '../../../src/log/request-log.ts';
import { accepted, CONFIG, CURRENT, DEFERRED, hint, NOTIFY, NOW, ONCE, refused } from '../fixtures.ts';
import { type Coming, judgedAfter, times } from '../health/fixtures.ts';

const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;

beforeEach(() => void vi.useFakeTimers({ now: NOW }));

interface Case {
  readonly state: State;
  /** Three of these have come, a second apart. */
  readonly request?: RequestRecord;
  /** What the snapshot has besides. */
  readonly has?: Partial<Facts>;
  /** What came before the requests. */
  readonly before?: readonly Coming[];
}

const app = (url: string, error: string | null, exposed = false) => ({
  upstream: { url, reachable: error === null, error, certificate: null, exposed, exposure: 'off' as const },
});
const noAnswer = (changes: Partial<RequestRecord>) => accepted({ status: 502, upstreamStatus: 0, ...changes });
const answered = (status: number) => accepted({ status, upstreamStatus: status });
const because = (reason: Reason, changes: Partial<RequestRecord> = {}) =>
  refused({ reason, status: REASONS[reason].status, ...changes });
const hinted = (diagnosis: Diagnosis, text: string) => refused({ hint: hint(diagnosis, text) });
const secret = (changes: Partial<SecretFacts>) => ({ secrets: [{ ...CURRENT, ...changes }] });
const overloaded = (room: keyof typeof OVERLOAD_HINTS, secret: string | null = 'current') =>
  because('overloaded', { secret, hint: OVERLOAD_HINTS[room] });
const IDLE: DeferredFacts = { ...DEFERRED, waiting: 0, waits: [], oldest: null, deliveries: [] };
const deferred = (changes: Partial<DeferredFacts>) => ({ deferred: { ...IDLE, ...changes } });
const { waiting, waits, oldest, deliveries } = DEFERRED;
const WAITING = { waiting, waits, oldest, deliveries };
const away = (minutes: number) => ({ at: NOW - minutes * MINUTE, kind: 'failing', why: 'EACCES', before: 0 }) as const;
const OLD = { ...CURRENT, id: 'old', state: 'expired', notAfter: NOW - DAY } as const;
const NEXT = { ...CURRENT, id: 'next', state: 'not_yet', notBefore: NOW + DAY } as const;
const PREVIOUS = { ...CURRENT, id: 'current.previous', notAfter: NOW + DAY / 5, lastMatch: NOW / 1000 - 9 };
const EXPIRED = deliveries.map((one) => ({ ...one, state: 'expired' as const, keptUntil: NOW + 24_000 }));
const TOOK = [accepted()];

const WHYS = ['secret_gone', 'route_gone', 'limits'].map((why, at) => ({
  ...{ why, secret: 'old', route: '/b' },
  deliveries: at === 0 ? 2 : 1,
}));

const CASES: Readonly<Record<Diagnosis, Case>> = {
  draining: { state: 'warning', has: { draining: true, ready: false } },
  'not-ready': { state: 'failed', has: { ready: false, causes: ['no live secret'] } },
  'no-live-secret': { state: 'failed', has: { routes: [{ ...NOTIFY, liveSecrets: 0 }] } },
  'secrets-outside-dates': {
    state: 'failed',
    has: { routes: [{ ...NOTIFY, liveSecrets: 0 }], secrets: [{ ...OLD, id: 'current' }] },
  },
  'secret-problem': { state: 'warning', has: secret({ state: 'unusable', problem: 'it is empty' }) },
  'secret-value': { state: 'note', has: secret({ note: 'it is shorter than 32 bytes' }) },
  'secret-ends': { state: 'warning', has: secret({ notAfter: NOW + DAY }) },
  'old-secret-used': { state: 'warning', has: { secrets: [CURRENT, PREVIOUS] } },
  'secret-expired': {
    state: 'warning',
    has: { secrets: [CURRENT, OLD], routes: [{ ...NOTIFY, secretIds: ['current', 'old'] }] },
  },
  'secret-unproven': { state: 'warning', request: accepted(), has: { routes: [{ ...NOTIFY, provenSecrets: 0 }] } },
  'another-secret': { state: 'failed', request: refused() },
  'body-changed': { state: 'failed', request: hinted('body-changed', 're-serialised') },
  'body-compressed': { state: 'failed', request: hinted('body-compressed', 'decompressed') },
  'trailing-newline': { state: 'failed', request: hinted('trailing-newline', 'a newline') },
  'secret-form': { state: 'failed', request: hinted('secret-form', 'quotes') },
  'other-route-secret': { state: 'failed', request: hinted('other-route-secret', 'of another') },
  'sender-signs': { state: 'failed', request: hinted('sender-signs', 'an empty body') },
  'signature-form': {
    state: 'failed',
    request: refused({ reason: 'malformed_signature', hint: hint('signature-form', 'it is hex') }),
  },
  'signature-dropped': {
    state: 'failed',
    request: refused({ reason: 'missing_signature', signed: false, renamedHeader: 'X-Entrupy-Signature' }),
    before: TOOK,
  },
  'no-signature': { state: 'warning', request: refused({ reason: 'missing_signature', signed: false }) },
  'expired-secret': {
    state: 'failed',
    request: refused({ reason: 'expired_secret', hint: hint('expired-secret', 'signed with "old"', 'old') }),
    has: { secrets: [CURRENT, OLD] },
  },
  'early-secret': {
    state: 'failed',
    request: refused({ reason: 'expired_secret', hint: hint('early-secret', 'signed with "next"', 'next') }),
    has: { secrets: [CURRENT, NEXT] },
  },
  'gate-rule': { state: 'failed', request: because('bad_request', { rule: 'host' as never }) },
  'large-head': { state: 'failed', request: because('header_too_large') },
  'slow-request': { state: 'failed', request: because('body_timeout') },
  'other-address': {
    state: 'failed',
    request: because('route_rejected'),
    has: { routes: [{ ...NOTIFY, action: 'reject' }] },
  },
  'large-body': { state: 'failed', request: because('body_too_large') },
  'front-leaves': { state: 'failed', request: because('client_closed') },
  'signed-unverified': {
    state: 'failed',
    request: accepted({ route: 'unmatched', path: '/webhooks/entrupy', decision: 'forwarded', secret: null }),
    has: { routes: [{ ...NOTIFY, path: 'unmatched', action: 'forward' }] },
  },
  'deliveries-lost': {
    state: 'warning',
    before: [answered(500), 60, ...times(30, accepted())],
  },
  'app-fails': { state: 'failed', request: answered(500) },
  'app-busy': { state: 'failed', request: answered(429) },
  'app-refuses': { state: 'failed', request: answered(404) },
  'app-redirects': { state: 'warning', request: accepted({ status: 308, upstreamStatus: 308 }) },
  'app-hangs': { state: 'failed', request: noAnswer({ upstreamFailure: 'timeout' }) },
  'app-breaks-off': { state: 'failed', request: noAnswer({ upstreamFailure: 'reset' }) },
  'app-not-http': { state: 'failed', request: noAnswer({ upstreamFailure: 'protocol' }) },
  'sender-leaves': { state: 'failed', request: noAnswer({ status: 499, reason: 'client_closed', departedMs: 5000 }) },
  'slow-app': {
    state: 'warning',
    request: accepted({ upstreamMs: 8000, departedMs: 5000 }),
    before: times(2, accepted({ upstreamMs: 8000 })),
  },
  'app-down': { state: 'failed', has: app('http://app:3000', 'ECONNREFUSED') },
  'upstream-loop': { state: 'failed', request: accepted({ status: 508, upstreamStatus: 508, upstreamError: LOOP }) },
  'app-certificate-name': { state: 'failed', has: app('https://app', 'ERR_TLS_CERT_ALTNAME_INVALID') },
  'app-certificate-dates': { state: 'failed', has: app('https://app', 'CERT_HAS_EXPIRED') },
  'app-certificate-unknown': { state: 'failed', has: app('https://app', 'DEPTH_ZERO_SELF_SIGNED_CERT') },
  'app-tls': { state: 'failed', has: app('https://app', 'EPROTO') },
  'proxy-full': { state: 'failed', request: because('overloaded', { secret: 'current' }) },
  'bodies-full': { state: 'failed', request: overloaded('bytes', null) },
  'slots-full': { state: 'failed', request: overloaded('slots') },
  'tunnels-full': { state: 'failed', request: overloaded('tunnels', null) },
  stopped: { state: 'failed', request: overloaded('stopped') },
  'twins-wait': { state: 'failed', request: overloaded('twins') },
  'connections-full': { state: 'warning', before: [{ address: '192.0.2.9' }] },
  'descriptors-full': { state: 'failed', has: { descriptors: { open: 1023, limit: 1024 } } },
  exposed: { state: 'warning', has: app('http://app', null, true) },
  'once-store': { state: 'failed', has: { once: { ...ONCE, onStoreFailure: 'refuse', problem: 'ECONNREFUSED' } } },
  'store-full': {
    state: 'failed',
    has: deferred({ problem: 'it is full', state: 'full', turnedAway: away(1) }),
  },
  'store-slow': { state: 'warning', has: deferred({ problem: 'it took 1000 ms', state: 'slow' }) },
  'redis-fails': { state: 'warning', has: deferred({ store: 'redis', problem: 'ECONNREFUSED', state: 'failing' }) },
  'store-fails': {
    state: 'warning',
    has: deferred({ problem: 'EACCES', state: 'failing', turnedAway: away(16) }),
  },
  'deferred-lost': {
    state: 'warning',
    has: deferred({
      lostLately: 1,
      losses: [{ at: NOW, id: 'x', route: null, came: null, attempts: 0, lastFailure: '', why: 'keep', events: 1 }],
    }),
  },
  'store-damaged': {
    state: 'failed',
    has: deferred({ aside: [{ name: 'aside-queue.sqlite-2026-11-01T120000.000Z', bytes: 7, at: NOW, events: null }] }),
  },
  'store-evicts': { state: 'warning', has: deferred({ evicts: 'allkeys-lru' }) },
  'deferred-expired': { state: 'failed', has: deferred({ expired: 2, deliveries: EXPIRED }) },
  'deferred-ending': {
    state: 'failed',
    has: deferred({ ...WAITING, firstEnd: { at: NOW + 59 * MINUTE, came: NOW - 71 * 60 * MINUTE } }),
  },
  poison: {
    state: 'warning',
    before: TOOK,
    has: deferred({ ...WAITING, deliveries: deliveries.map((one) => ({ ...one, passed: 3 })) }),
  },
  'deferred-stopped': { state: 'warning', has: deferred({ stopped: 2 }) },
  'deferred-unverified': { state: 'warning', has: deferred({ unverified: 4, whys: WHYS }) },
  'deferred-unsent': { state: 'warning', has: deferred({ ...WAITING, sends: false }) },
  'deferred-waits': { state: 'warning', has: deferred(WAITING) },
  'certificate-ends': { state: 'warning', has: { certificates: [certificate(0, NOW + DAY)] } },
  'certificate-early': { state: 'failed', has: { certificates: [certificate(NOW + DAY, NOW + 99 * DAY)] } },
  'handshake-fails': {
    state: 'warning',
    before: times(3, { address: '192.0.2.9', hint: hint('handshake-fails', 'clients refused it') }),
  },
  'reload-failed': { state: 'failed', has: { lastReload: { ok: false, at: NOW, error: 'line 3', refused: true } } },
  'awaiting-restart': { state: 'warning', has: { config: { ...CONFIG, awaitingRestart: ['listen.port'] } } },
  'report-mode': { state: 'warning', has: { routes: [{ ...NOTIFY, mode: 'report' }] } },
  chosen: { state: 'note', has: { config: { ...CONFIG, warnings: ['unmatched: forward'] } } },
  'log-gaps': { state: 'warning', has: { log: { dropped: 7, lastDropped: NOW } } },
  'all-is-well': { state: 'ok', request: accepted() },
  'nothing-proven': { state: 'ok' },
};

function certificate(notBefore: number, notAfter: number) {
  return { certificate: 'listen', file: '/tls/tls.crt', notBefore, notAfter } as const;
}

function made({ request, has = {}, before = [] }: Case): ApiStatus {
  vi.setSystemTime(NOW - 14_000);
  const came = request === undefined ? [2] : [request, 1, request, 1, request];
  return judgedAfter([...before, ...came, 12], has);
}

test('while the app takes nothing, no event is called poison', () => {
  const told = (...before: readonly RequestRecord[]) =>
    made({ ...CASES.poison, before }).advice.some(({ id }) => id === 'poison');
  const failed = accepted({ status: 500, upstreamStatus: 500 });
  expect([told(), told(accepted()), told(accepted(), failed)]).toEqual([false, true, false]);
});

const names = Object.keys(CASES) as Diagnosis[];

describe.each(Object.entries(CASES) as [Diagnosis, Case][])('%s', (id, one) => {
  const { subject, remedy, page } = DIAGNOSES[id];

  function advised() {
    const s = made(one);
    const found = s.advice.find((item) => item.id === id);
    if (found === undefined) throw new Error(`not among ${s.advice.map((item) => item.id)}`);
    return { s, all: s.advice, found };
  }

  test('is on the status page, with its remedy', () => {
    const { s, found } = advised();
    expect(found).toMatchObject({ state: one.state, remedy, page });
    const text = renderStatusPage(s).replaceAll(/&#(\d+);/g, (_, code) => String.fromCharCode(code));
    expect(text).toContain(found.message);
    expect(text).toContain(remedy);
  });

  test('is a line of check, which names remedy and page if it is wrong', () => {
    const { s, found } = advised();
    const lines = statusLines(s);
    const line = lines.find(({ message }) => message.startsWith(found.message));
    const isWrong = one.state === 'failed' || one.state === 'warning';
    if (!isWrong) return expect(line).toMatchObject({ id, state: 'ok' });
    expect(line).toMatchObject({ id, state: one.state, remedy, page });
    // Nothing of the same subject is right; live secrets, and an app that is there, are facts beside a warning.
    const right = s.right.map((one) => one.id);
    if (one.state === 'failed' || !/^(?:secrets|upstream)$/.test(subject)) expect(right).not.toContain(subject);
  });

  test('is in the log if it is wrong, once an hour at most, and in the line of its request', () => {
    const { all, found } = advised();
    const lines: string[] = [];
    const log = createLog('info', (line) => lines.push(line));
    const told = createDiagnosisLog(log);
    for (let at = 0; at < 60 * MINUTE; at += MINUTE / 6) told(all, NOW + at);
    const own = () => lines.filter((line) => JSON.parse(line).diagnosis === id);
    const isWrong = one.state === 'failed' || one.state === 'warning';
    expect(own().map((line) => JSON.parse(line))).toMatchObject(
      isWrong ? [{ level: one.state === 'failed' ? 'error' : 'warn', problem: found.message, remedy, page }] : [],
    );
    if (one.request === undefined || OF_MANY.has(id)) return;
    lines.length = 0;
    new RequestLog(log, 'all').record(one.request);
    expect(JSON.parse(lines[0] ?? '{}').diagnosis).toBe(id);
  });
});

/** What a case changes, one by one: no two that change the same are drawn together. */
const changesIn = ({ has: { deferred: store, ...others } = {}, request, before }: Case): [string, unknown][] => [
  ...Object.entries(others),
  ...Object.entries(store ?? {}).filter(([key, value]) => value !== IDLE[key as keyof DeferredFacts]),
  ...((request ?? before) === undefined ? [] : [['came', request] satisfies [string, unknown]]),
];

/** Where no route sends any, no delivery needs the store; what report mode lets pass since a reload is red no more. */
const APART: readonly (readonly [one: RegExp, other: RegExp])[] = [
  [/deferred-unsent/, /store-(fails|slow|full)|redis-fails/],
  [/report-mode/, /secret|signature/],
];

function fits(chosen: readonly Diagnosis[], id: Diagnosis): boolean {
  const known = new Set(chosen.flatMap((one) => changesIn(CASES[one]).map(([key]) => key)));
  const text = [...chosen, id].join(' ');
  const isApart = APART.some((all) => all.every((one) => one.test(text)));
  return DIAGNOSES[id].subject !== 'all' && !isApart && !changesIn(CASES[id]).some(([key]) => known.has(key));
}

const several = fc
  .shuffledSubarray(names, { maxLength: 40 })
  .map((ids) => ids.reduce<Diagnosis[]>((all, id) => (fits(all, id) ? all.concat(id) : all), []));

const RANK: readonly State[] = ['failed', 'warning', 'ok', 'note'];
const worst = (all: readonly Pick<Case, 'state'>[]) =>
  RANK.find((state) => all.some((one) => one.state === state)) ?? 'ok';

function joined(cases: readonly Case[]): Case {
  const has: Partial<Facts> = Object.assign({}, ...cases.map((one) => one.has));
  if (has.deferred != null)
    Object.assign(has, { deferred: { ...IDLE, ...Object.fromEntries(cases.flatMap(changesIn)) } });
  return { ...cases.find(({ request, before }) => request ?? before), state: worst(cases), has };
}

// HEALTH_WORLDS and HEALTH_SEED as in health/worlds.test.ts.
test('no problem hides another or makes it worse, and nothing is said to be right that is not', () => {
  const property = fc.property(several, (ids) => {
    const one = joined(ids.map((id) => CASES[id]));
    const { advice, right } = made(one);
    const told = advice.flatMap((item) => [item, ...item.follows]).map(({ id }) => id);
    expect(told).toEqual(expect.arrayContaining(ids));
    const states = advice.map(({ state }) => state);
    expect(states).toEqual(RANK.flatMap((state) => states.filter((one) => one === state)));
    expect(states[0]).toBe(one.state === 'note' ? 'ok' : one.state);
    for (const item of advice) {
      const own = ids.includes(item.id) ? CASES[item.id] : item;
      expect([item.id, item.state]).toEqual([item.id, worst([own, ...item.follows])]);
    }
    const wrong = ids.flatMap((id) => (CASES[id].state === 'failed' ? [DIAGNOSES[id].subject as string] : []));
    expect(right.filter(({ id }) => wrong.includes(id))).toEqual([]);
    const text = advice.map(({ message, remedy }) => `${message} ${remedy}`).join(' ');
    expect(text).not.toMatch(/undefined|NaN|null|Infinity|-\d+ (s|min|h|days)\b| {2}|\.\./);
  });
  const { HEALTH_WORLDS = 800, HEALTH_SEED = 20_261_201 } = process.env;
  fc.assert(property, { numRuns: Number(HEALTH_WORLDS) / 4, seed: Number(HEALTH_SEED) });
});

test('of notes, signed requests that nobody verifies are in the log, and no others', () => {
  const lines: string[] = [];
  const told = createDiagnosisLog(createLog('info', (line) => lines.push(line)));
  const note = { state: 'note', message: 'm', route: null, remedy: 'r', page: 'p', follows: [] } as const;
  for (const id of ['signed-unverified', 'secret-value'] as const) told([{ id, ...note }], NOW);
  expect(lines.map((line) => JSON.parse(line))).toMatchObject([{ level: 'info', diagnosis: 'signed-unverified' }]);
  const again = () => told([{ id: 'signed-unverified', ...note }], NOW + 2 * MINUTE);
  for (let look = 0; look < 2; look++) again();
  expect(lines, 'it had ended, and begins anew').toHaveLength(2);
});

test('what follows from a diagnosis never leads back to itself', () => {
  const all = (id: Diagnosis): Diagnosis[] => causesOf(id).flatMap((one) => (one === id ? [one] : [one, ...all(one)]));
  for (const id of Object.keys(DIAGNOSES) as Diagnosis[]) expect(all(id)).not.toContain(id);
});

/** Told of several requests together, or of good ones: the line of one has another, or none. */
const OF_MANY: ReadonlySet<Diagnosis> = new Set([
  'signature-dropped',
  'app-redirects',
  'secret-unproven',
  'deliveries-lost',
  'slow-app',
  'signed-unverified',
  'all-is-well',
]);
