// What is said of facts: secrets, settings and deferred deliveries, and which secrets can be removed.
import { Buffer } from 'node:buffer';
import { createHash } from 'node:crypto';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, test, vi } from 'vitest';
import { renderStatusPage } from '../../../src/admin/page/page.ts';
import { BROKEN_OFF, type Hint, OVERLOAD_HINTS, preambleHint } from '../../../src/core/hint.ts';
import { PROBE_AGENT } from '../../../src/core/permit.ts';
import type { RequestRecord } from '../../../src/core/request-record.ts';
import type { Route } from '../../../src/core/routes.ts';
import type { DeferredFacts, Facts, SecretFacts } from '../../../src/facts.ts';
import { type ApiStatus, Health } from '../../../src/health/health.ts';
import { Ledger } from '../../../src/health/ledger.ts';
import { RouteLedger } from '../../../src/health/route-ledger.ts';
import { secretVerdict } from '../../../src/health/secret-findings.ts';
import { reasonText } from '../../../src/health/sentences.ts';
import { NONE } from '../../../src/health/tallies.ts';
import { forward, table, tableOf, verify } from '../core/fixtures.ts';
import { accepted, CONFIG, CURRENT, DEFERRED, factsOf, hint, judged, NOTIFY, NOW, ONCE, refused } from '../fixtures.ts';
import { type Coming, judgedAfter, times } from './fixtures.ts';

vi.useFakeTimers({ now: NOW });

const HOUR = 3_600_000;

function headline(changes: Partial<Facts>): string {
  const [first] = judged(changes).advice;
  return `${first?.state}: ${first?.message} ${first?.remedy}`;
}

test('why no secret is live is told, with the clock, and until when senders may use a replaced value', () => {
  const secret = { ...CURRENT, state: 'not_yet', notBefore: Date.parse('2026-12-01T00:00:00Z') } as const;
  expect(headline({ routes: [{ ...NOTIFY, liveSecrets: 0 }], secrets: [secret] })).toMatch(
    /^failed: .*: secret current is not valid before 2026-12-01 00:00 UTC; this machine's clock says 2026-11-24 12:00 UTC\./,
  );
  expect(headline({ routes: [{ ...NOTIFY, secretIds: [], liveSecrets: 0 }] })).toMatch(
    /^failed: No secret is live on \/notify, so senders get 503: it lists none\./,
  );
  const mistyped = { ...NOTIFY, secretIds: [], unknownIds: ['curent'], liveSecrets: 0 };
  expect(headline({ routes: [mistyped] })).toMatch(/: it lists curent, which no secret has\. If none is live now, put/);
  expect(headline({ routes: [{ ...NOTIFY, mode: 'report', liveSecrets: 0 }] })).toContain(
    ' so nothing there is verified',
  );
  const previous = { ...CURRENT, id: 'current.previous', notAfter: NOW + 5 * HOUR, lastMatch: NOW / 1000 - 9 };
  expect(headline({ secrets: [CURRENT, previous] })).toMatch(
    /^warning: Rotation: senders still sign with the old value of current, the last one 9 s ago \(11:59 UTC\); it ends in 5 h\. Switch them/,
  );
});

test('an expired report mode and a replaced value that is due to expire need no action', () => {
  expect(headline({ routes: [{ ...NOTIFY, mode: 'report', reportUntil: NOW + HOUR }] })).toMatch(
    /^warning: \/notify only reports until 2026-11-24 13:00 UTC: it forwards/,
  );
  const calm = judged({
    routes: [{ ...NOTIFY, mode: 'report', reportUntil: NOW - 1 }],
    secrets: [{ ...CURRENT, id: 'current.previous', notAfter: NOW + 1000, lastMatch: 0 }],
  });
  expect(new Set(calm.advice.map(({ state }) => state))).toEqual(new Set(['ok']));
});

test('each secret has a verdict on whether it can be removed', () => {
  const hours = (count: number) => NOW / 1000 - count * 3600;
  const old = { ...CURRENT, id: 'old', lastMatch: hours(3) };
  const next = { ...CURRENT, id: 'next', lastMatch: hours(0.1) };
  const both = { ...NOTIFY, secretIds: ['old', 'next'], liveSecrets: 2 };
  const verdict = (secret: typeof CURRENT, changes: Partial<Facts> = {}) =>
    secretVerdict(secret, judged({ routes: [both], secrets: [old, next], ...changes }));
  expect(verdict(old)).toBe('can be removed once its last match is older than your sender retries');
  expect(verdict(next)).toBe('in use: keep it');
  expect(verdict({ ...old, lastMatch: 0 })).toMatch(/^can be removed once/);
  expect(verdict(old, { routes: [both, { ...NOTIFY, path: '/other', secretIds: ['old'], liveSecrets: 1 }] })).toBe(
    'the only live secret of /other: keep it',
  );
  expect(verdict(old, { secrets: [old, { ...next, lastMatch: 0 }] })).toMatch(/^too early to tell/);
  const previous = { ...old, id: 'next.previous', notAfter: NOW + 5 * HOUR };
  expect(verdict(previous)).toBe('ends by itself');
  expect(verdict({ ...old, state: 'expired' })).toBe('can be removed');
  for (const state of ['unusable', 'not_yet'] as const) expect(verdict({ ...old, state })).toBe('–');
  // One that deferred deliveries need is kept, whatever else speaks for its removal.
  expect(verdict({ ...old, deferred: 12 })).toBe('keep it: 12 deferred deliveries are signed with it');
  const gone = { ...old, deferred: 1, state: 'expired', notAfter: NOW - 1 } as const;
  expect(verdict(gone)).toBe('keep it: 1 deferred delivery is signed with it');
  expect(verdict({ ...previous, deferred: 12 })).toBe(
    'ends by itself; 12 deferred deliveries are signed with it, and not sent after that',
  );
});

test('without redelivery nothing is said of it', () => {
  expect(judged().advice.map(({ id }) => id)).toEqual(['nothing-proven']);
  expect(renderStatusPage(judged())).not.toContain('Deferred deliveries');
});

test('a store that works is said to, one that has not answered is not; what it turned away is told for 15 min, while it is lost', () => {
  const fails = { status: 503, upstreamStatus: 503 } as const;
  const lost = [accepted({ ...fails, event: 'one' }), accepted({ ...fails, event: 'other' })];
  const said = (
    changes: Partial<DeferredFacts>,
    minutes = 15,
    later: Parameters<typeof judgedAfter>[0] = [],
    before = 0,
  ) => {
    const turnedAway = { at: NOW - minutes * 60_000, kind: 'failing', why: 'ENOSPC', before } as const;
    const facts = {
      routes: [{ ...NOTIFY, redeliver: HOUR }],
      deferred: { ...DEFERRED, waiting: 0, turnedAway, ...changes },
    };
    const { advice, right } = judgedAfter([10, ...lost, minutes * 60 - 19, ...later, 9], facts);
    const store = advice.find(({ id }) => id === 'store-fails');
    const works = right.find(({ id }) => id === 'redelivery')?.message.replace(/.*\) /, '');
    return [store?.state, works ?? /works again; .*: \w+/.exec(`${store?.message}`)?.[0], store?.remedy];
  };
  expect(said({}).slice(0, 2)).toEqual([undefined, 'works.']);
  const remedy = 'Find what was lost.';
  expect(said({}, 0.9)).toEqual(['failed', expect.stringMatching(/^works again.* 54 s ago .*: ENOSPC$/), remedy]);
  const again = ['note', 'works.', remedy]; // once it lasts: the losses are told beside it
  expect(said({}, 1.1)).toEqual(again);
  expect(said({}, 14)).toEqual(again);
  expect(said({}, 14, [accepted({ event: 'one' })])).toEqual(again);
  // One that comes and goes is not over.
  expect(said({}, 14, [], NOW - 28 * 60_000)).toEqual(['failed', expect.stringMatching('works again'), remedy]);
  expect(said({}, 14, [], NOW - 30 * 60_000)).toEqual(again);
  // The app has taken both since; what it fails later, the store did not turn away.
  const taken = [accepted({ event: 'one' }), accepted({ event: 'other' })];
  expect(said({}, 14, [...taken, accepted(fails)]).slice(0, 2)).toEqual([undefined, 'works.']);
  expect(said({ sends: false }, 14)[0]).toBeUndefined();
  expect(said({ state: 'unknown' }).slice(0, 2)).toEqual([undefined, undefined]);
  expect(said({ state: 'failing', problem: 'EACCES' })[0]).toBe('warning');
  expect(said({ state: 'failing', sends: false })[0]).toBe('note'); // no delivery needs it
  expect(said({ state: 'failing', problem: 'EACCES' }, 14)[0]).toBe('failed');
});

test('the page lists when each came, its route, attempts, last failure and next try', () => {
  const [first] = DEFERRED.deliveries;
  if (first === undefined) throw new Error('the fixture lists none');
  const stopped = { ...first, id: 'stopped', state: 'stopped', nextTry: null } as const;
  const late = { ...first, id: 'late', nextTry: NOW - 1 };
  const sent = { ...first, id: 'sent', sending: true };
  const unverified = { ...late, id: 'unverified', route: null, state: 'unverified', nextTry: null } as const;
  const deferred = { ...DEFERRED, deliveries: [first, stopped, late, unverified, sent] };
  const text = renderStatusPage(judged({ deferred }));
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
  const tries = cells.flatMap((cell) => /^Next try: (.*)$/.exec(cell)?.[1] ?? []);
  expect(tries).toEqual(['in 8 s (12:00 UTC)', '–', 'when it is its turn', '–', 'being sent']);
  expect(cells).toContain('Event: unverified no known route');
  expect(text).toContain('maxBody 1MiB');
  const route = { ...NOTIFY, redeliver: 72 * HOUR };
  expect(renderStatusPage(judged({ routes: [route] }))).toContain('redeliver 72h');
});

test('why nothing verifies some is told once, whatever their routes and secrets', () => {
  const whys = ['a', 'b', 'b'].map((secret) => ({ why: 'altered', secret, route: `/${secret}`, deliveries: 2 }));
  const unlisted = { why: 'secret_unlisted', secret: 'c', route: '/c', deliveries: 1 };
  whys.push(unlisted, { ...unlisted, why: 'route_gone' });
  const deferred = { ...DEFERRED, waiting: 0, deliveries: [], unverified: 8, whys };
  const said = ({ store }: { store: string }) => judged({ deferred: { ...deferred, store } }).advice[0]?.message;
  expect(said(DEFERRED)).toMatch(
    / look, so not sent: 6 altered in the store, 1 whose secret c is not among the secrets of \/c, 1 whose route \/c is gone, or took them no longer\.$/,
  );
  expect(said({ store: 'redis:6379' })).toContain(
    ' at the last look, perhaps by another proxy, so not sent: 6 altered',
  );
});

test('of a store that was never counted nothing is said to be 0, and no secret that may be needed can be removed', () => {
  const unknown = { waiting: null, stopped: null, expired: null, unverified: null, bytes: null, lostLately: null };
  const state = { state: 'failing', problem: 'EROFS' } as const;
  const deferred: DeferredFacts = { ...DEFERRED, ...unknown, ...state, deliveries: [], oldest: null };
  const secret: SecretFacts = { ...CURRENT, state: 'expired', deferred: null };
  const status = judged({ deferred, secrets: [secret] });
  expect(status.advice[0]?.message).toMatch(/ fails: EROFS\. Until .* What is in it is not known, and not sent\.$/);
  expect(status.advice.filter(({ id }) => id.startsWith('deferred'))).toEqual([]);
  expect(secretVerdict(secret, status)).toBe('keep it: deferred deliveries may be signed with it');
});

test('what was lost is told for a day, with its number or that this is not known, and with what would have kept it', () => {
  const LOSS = { at: NOW, id: 'x', route: null, came: null, attempts: 0, lastFailure: '', why: 'keep', events: 1 };
  const lost = (lostLately: number, ...all: readonly Partial<DeferredFacts['losses'][number]>[]) => {
    const losses = all.map((changes) => ({ ...LOSS, ...changes }));
    return judged({ deferred: { ...DEFERRED, waiting: 0, losses, lostLately } }).advice;
  };
  expect(lost(7, { at: NOW - 24 * HOUR + 1 })).toMatchObject([{ id: 'deferred-lost', state: 'warning' }]);
  expect(lost(7, { at: NOW - 24 * HOUR }).map(({ id }) => id)).toEqual(['nothing-proven']);
  expect(lost(7, {}, { why: 'room' }, {})[0]?.message).toMatch(
    /^7 deferred deliveries of the last day left the store untaken, .*: nobody decided within redelivery\.keep \(a longer.*; newer ones .*raise redelivery\.maxBytes[^;]*$/,
  );
  expect(lost(1, { why: 'record' })[0]?.message).toMatch(
    /untaken, the last one [^:]*:\d\d UTC\): the store lost what it held \(look at its disk, or at the Redis\)\.$/,
  );
  const removed = { id: '', why: 'q was removed', events: null };
  expect(lost(7, removed)[0]?.message).toMatch(
    /^6 deferred deliveries, and others whose number is not known, of the last day left .*: q was removed\.$/,
  );
  const unknown = 'An unknown number of deferred deliveries of the last day left the store untaken, ';
  expect(lost(1, removed)[0]?.message).toContain(unknown);
});

const noAnswer = (upstreamFailure: 'connect' | 'timeout') =>
  accepted({ status: 502, upstreamStatus: 0, upstreamFailure });
const down = accepted({ status: 502, upstreamStatus: 0, upstreamFailure: 'connect', upstreamError: 'ECONNREFUSED' });
const fails = accepted({ status: 500, upstreamStatus: 500 });
const bare = { reason: 'missing_signature', signed: false, event: '' } as const;

test('an app that accepts no connections is told once, on the route whose deliveries fail', () => {
  const upstream = { url: 'http://app', reachable: false, error: 'ECONNREFUSED', certificate: null } as const;
  const { advice } = judgedAfter(times(3, down), { upstream: { ...upstream, exposed: false, exposure: 'off' } });
  expect(advice.map(({ id, route, follows }) => [id, route, follows.map((one) => one.id)])).toEqual([
    ['app-down', '/notify', ['app-down', 'deliveries-lost']],
  ]);
});

test('a certificate of the app that has ended is told with its dates, and with the clock', () => {
  const certificate = { notBefore: NOW - 72 * HOUR, notAfter: NOW - 24 * HOUR };
  const upstream = { url: 'https://app', reachable: false, error: 'CERT_HAS_EXPIRED', certificate } as const;
  expect(headline({ upstream: { ...upstream, exposed: false, exposure: 'off' } })).toContain(
    "valid from 2026-11-21 12:00 UTC to 2026-11-23 12:00 UTC; this machine's clock says 2026-11-24 12:00 UTC.",
  );
});

test('what waits for an app that is slow follows from it', () => {
  const full = accepted({ status: 503, reason: 'overloaded', upstreamStatus: 0, hint: OVERLOAD_HINTS.slots });
  const routes = [NOTIFY, { ...NOTIFY, path: '/other' }];
  for (const route of ['/notify', '/other']) {
    const waits = times(3, { ...full, route, path: `${route}/` });
    const slow = ['/notify', '/other'].flatMap((on) => times(5, accepted({ route: on, upstreamMs: 8000 })));
    const { advice } = judgedAfter([...slow, ...waits, 12], { routes });
    const due = { id: 'slots-full', message: expect.stringContaining(` to ${route} (the last one to ${route}/)`) };
    const follows = [due, { id: 'deliveries-lost' }];
    expect(advice[0]).toMatchObject({ id: 'slow-app', state: 'failed', route, follows });
  }
});

test('a client that left within its request broke no rule, and a body is told to have paused beside other hints', () => {
  const left = { reason: 'bad_request', rule: null, header: null } as const;
  expect(reasonText(left, BROKEN_OFF.text)).toBe('the client closed within the request');
  expect(reasonText({ ...left, reason: 'body_timeout' }, 'it is hex')).toMatch(/paused too long, .*\(it is hex\)$/);
});

test('of refusals before the first acceptance the commonest cause is told first, whichever came first', () => {
  const changed = refused({ hint: hint('body-changed', 're-serialised') });
  const { advice } = judgedAfter([refused({ reason: 'body_too_large', status: 413 }), ...times(5, changed)]);
  expect(advice[1]).toMatchObject({ id: 'large-body', message: expect.stringMatching(/^No .* 1 request /) });
  expect(advice[0]).toMatchObject({
    id: 'body-changed',
    message: expect.stringMatching(/^No .* 5 requests .*: re-ser/),
  });
});

test('a problem that began after a reload says so, whatever was reloaded since', () => {
  const said = (...reloads: number[]) => {
    const { advice } = judgedAfter([...times(3, down), 30], { reloads, startedAt: NOW - 9 * HOUR });
    return advice.find(({ id }) => id === 'app-down')?.message;
  };
  expect(said(NOW - 10_000, NOW - 60_000)).toContain(' 30 s after a reload.');
  expect(said()).not.toContain('a reload');
});

test('a delivery that is sent again is no second one, and what is to be done depends on what is so now', () => {
  const takes = (amount: number, of: string) =>
    Array.from({ length: amount }, (_, nth) => ({ route: '/notify', fate: 'taken' as const, event: `${of}${nth}` }));
  const said = (later: number, { fate, ...changes }: Partial<Facts> & { fate: 'deferred' | 'failed' }, earlier = 0) => {
    const untaken = { fate, status: 202, upstreamStatus: 0, upstreamFailure: 'connect' } as const;
    const all = Array.from({ length: 5 }, (_, nth) => accepted({ ...untaken, event: `e${nth}` }));
    const came = [...all.slice(0, 1), ...takes(earlier, 'earlier'), ...all.slice(1), 12, ...takes(later, 'e')];
    const waits = DEFERRED.waits.slice(later / 5);
    const [first] = judgedAfter(came, {
      deferred: { ...DEFERRED, waiting: 5 - later, waits, routes: waits.map(({ route }) => route) },
      ...changes,
    }).advice;
    return [first?.state, first?.id, first?.message, first?.remedy].join(' ');
  };
  expect(said(0, { fate: 'deferred' }, 9)).toMatch(/^failed app-down /); // those had waited before
  const taken = said(5, { fate: 'deferred' });
  expect(taken).toMatch(
    /^warning app-down The app gave no whole answer to the last 5 deliveries .* Nothing is lost: each of them was taken/,
  );
  expect(taken).toMatch(/ If the app accepts none now, start it, .* Then find any that were lost\.$/);
  const upstream = { ...factsOf().upstream, reachable: false, error: 'ECONNREFUSED' };
  expect(said(2, { fate: 'deferred', upstream })).toMatch(
    / the last 5 deliveries .* Nothing is lost yet.* start it, .*retryConnectFor covers that\./,
  );
});

test('what a store held when it was last counted is not said to be there now', () => {
  const untaken = accepted({ fate: 'deferred', upstreamStatus: 503 });
  const message = (changes: Partial<DeferredFacts>, failing = 0) =>
    judgedAfter(times(failing, untaken), { deferred: { ...DEFERRED, ...changes } })
      .advice.flatMap((one) => [one, ...one.follows])
      .map((one) => one.message)
      .join('\n');
  const lastSeen = NOW - 12_000;
  expect(message({}, 2)).toContain(' Nothing is lost yet: 1 waits to be sent again.');
  expect(message({ sends: false }, 2)).toContain(' Nothing is lost yet: 1 waits unsent.');
  const old = message({ lastSeen }, 2);
  expect(old).toMatch(/ 1 waited when they were last counted, 12 s ago \(11:59 UTC\); what is there now is not known/);
  expect(old).toMatch(/\nWhen last counted, 12 s ago .*: 1 deferred delivery waits .* What is there now is not/);
  expect(old).not.toContain('Nothing is lost yet');
  // Nor is what was turned away since it began, or what another process stored.
  const turnedAway = { at: NOW + 1, kind: 'slow', why: '', before: 0 } as const;
  expect(message({ turnedAway }, 2)).not.toContain('Nothing is lost');
  const crowded = { at: NOW + 1, route: '/notify' };
  const { advice } = judgedAfter([{ ...untaken, fate: 'failed' }], { deferred: { ...DEFERRED, crowded } });
  const crowds = ' Not stored, the last time 0 s ago (12:00 UTC): too many with its body waited already.';
  expect(advice[0]?.message).toContain(crowds);
  const taken = judgedAfter([{ ...untaken, event: 'e' }, accepted({ event: 'e' })], { deferred: DEFERRED });
  expect(taken.advice[0]?.id).toBe('app-fails');
  expect(taken.advice[0]?.message).not.toContain('Nothing is lost');
  // What waits of a route that a reload has removed may be one of them.
  const removed = { ...DEFERRED, waits: [], routes: ['/gone'] };
  expect(judgedAfter([untaken], { deferred: removed }).advice[0]?.message).not.toContain('Nothing is lost');
  // What cannot be read may be of any route; once the store has nothing, all is over, also what is remembered no more.
  const over = (...routes: string[]) =>
    judgedAfter([accepted(), ...times(4100, untaken), 70], {
      deferred: { ...removed, waiting: 0, deliveries: [], routes },
    });
  expect([over(''), over()].map(({ advice }) => advice[0]?.state)).toEqual(['failed', 'ok']);
  for (const state of ['expired', 'stopped', 'unverified'])
    expect(message({ lastSeen, waiting: 0, [state]: 2 })).toMatch(/^When last counted, 12 s ago .* not known\.$/);
});

const headOf = ({ advice: [first] }: ApiStatus) => [first?.state, first?.id, first?.message ?? ''];

test('what was sent where no route takes it is told of the route whose deliveries it is, and the page has both', () => {
  const elsewhere = refused({ reason: 'route_rejected', status: 404, route: 'unmatched', path: '/notfy' });
  const routes = [NOTIFY, { ...NOTIFY, path: 'unmatched', action: 'reject' } as const];
  const { advice } = judgedAfter([accepted(), ...times(3, elsewhere), 12], { routes });
  expect(advice[0]).toMatchObject({ id: 'other-address', state: 'failed', route: '/notify' });
  expect(advice[0]?.message).toMatch(/^The last 3 deliveries to \/notify \(the last one to \/notfy\) were/);
  expect(advice[0]?.follows[0]?.message).toMatch(/^3 deliveries since the start, 60 min ago, to \/notify may be/);
});

test('of a route that a reload has removed only its losses are told, with its path, as the counters have it', () => {
  const after = (...came: readonly RequestRecord[]) => {
    const { advice } = judgedAfter([...came, tableOf(['/hooks'])], { routes: [{ ...NOTIFY, path: '/hooks' }] });
    const why = (message: string) => /no delivery since the start|a reload has removed/.exec(message)?.[0];
    return advice.map(({ id, route, message }) => [id, route, why(message)]);
  };
  expect(after(accepted())).toEqual([['nothing-proven', null, 'a reload has removed']]);
  expect(after()).toEqual([['nothing-proven', null, 'no delivery since the start']]);
  expect(after(fails, ...Array(5).fill(accepted({ upstreamMs: 9000 })))).toEqual([
    ['deliveries-lost', '/notify', undefined],
  ]);
  const astray = accepted({ route: 'unmatched', path: '/hooks', status: 500, upstreamStatus: 500 });
  expect(after(astray, astray, astray)).toEqual([['deliveries-lost', 'unmatched', undefined]]);
  // Before the first acceptance, too, a label is a route that is there.
  expect(after(refused())).toMatchObject([['another-secret', null, undefined]]);
});

test('a delivery reads its own route of a thousand, nobody the look of what is forwarded, and no judgement routes a long path', () => {
  const ledger = new Ledger();
  const read = new Set<string>();
  const deliver = (path: string) => ledger.deliver({ ...accepted({ route: path, path }), fate: 'taken' }, 1);
  for (const path of Array.from({ length: 1000 }, (_, nth) => `/${nth}`)) {
    deliver(path);
    const get = (known: RouteLedger, name: string) => {
      const value = read.add(path) && Reflect.get(known, name);
      return typeof value === 'function' ? value.bind(known) : value;
    };
    ledger.all.set(path, new Proxy(ledger.of(path), { get }));
  }
  deliver('/7');
  expect([[...read], ledger.senders.places.all.length]).toEqual([['/7'], 16]);
  const get = (of: RequestRecord, name: keyof RequestRecord) => read.add(name) && of[name];
  const passed = { decision: 'forwarded', fate: 'none', signed: false, event: '' } as const;
  for (const one of [accepted({ ...passed, method: 'GET' }), accepted({ ...passed, client: '192.0.2.44' })])
    ledger.record(new Proxy(one, { get } as ProxyHandler<RequestRecord>), 2);
  expect(read.has('contentType')).toBe(false);
  const asked = (path: string) => {
    const table = tableOf(['/hooks'], 'verify');
    const routeFor = vi.spyOn(table, 'routeFor');
    judgedAfter([table, accepted({ route: 'unmatched', path, status: 500, upstreamStatus: 500 })]);
    return routeFor.mock.calls.length;
  };
  expect([asked('/notfy'), asked(`/${'ä'.repeat(300)}`)]).toEqual([1, 0]);
});

test('a route keeps 60 KB at most of a quarter of an hour in which the app fails each delivery', () => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const failing = () => {
    const known = new RouteLedger();
    for (let at = 0; at < 900_000; at += 5000) {
      const event = createHash('sha256').update(`${at}`).digest('latin1');
      known.addBad('app-fails', 'failed', { ...NONE, event, startedAt: at }, at + 0.5);
    }
    return known;
  };
  collect();
  const before = process.memoryUsage().heapUsed;
  const all = Array.from({ length: 100 }, failing);
  collect();
  expect((process.memoryUsage().heapUsed - before) / all.length).toBeLessThan(60_000);
});

test('at a full door an address is its senders’ while a tenth or less that came from there is others’', () => {
  const after = (scans: number) => {
    const scan = refused({ reason: 'missing_signature', signed: false, method: 'GET', userAgent: 'curl/8' });
    const came = [...times(50, accepted()), ...times(scans, scan), ...times(9, { address: scan.client }), 12];
    return headOf(judgedAfter(came)).slice(0, 2);
  };
  expect(after(5)).toEqual(['failed', 'connections-full']);
  expect(after(6)).toEqual(['warning', 'connections-full']);
});

test('connections that are full name the address that holds most of them, if one does', () => {
  const said = (most: Facts['connections']['most']) =>
    headOf(judgedAfter([{ address: '192.0.2.9' }], { connections: { open: 60, limit: 64, most } }))[2];
  expect(said({ address: '203.0.113.7', connections: 50 })).toContain('; 50 of the 60 that are open now are from 203');
  for (const most of [null, { address: '203.0.113.7', connections: 30 }]) expect(said(most)).not.toContain('open now');
});

test('of what is failed, deliveries that are lost come before those that wait, and both before what may be lost', () => {
  const failing = (route: string, stored: boolean) =>
    accepted({ route, status: stored ? 202 : 500, upstreamStatus: 500, decision: stored ? 'deferred' : 'accepted' });
  const waits = [3, 6].map((deliveries, nth) => ({ route: ['/kept', '/b'][nth] ?? '', deliveries, end: NOW + HOUR }));
  const { advice } = judgedAfter([...times(3, failing('/kept', true)), ...times(3, failing('/notify', false)), 12], {
    routes: ['/kept', '/notify'].map((path) => ({ ...NOTIFY, path })),
    deferred: { ...DEFERRED, waiting: 9, routes: ['/kept'], waits },
    lastReload: { ok: false, at: NOW, error: 'line 3', refused: true },
  });
  expect(advice.map(({ id, state, route }) => [id, state, route])).toEqual([
    ['app-fails', 'failed', '/notify'],
    ['app-fails', 'failed', '/kept'],
    ['reload-failed', 'failed', null],
  ]);
  // What waits is told of the route on which it does, with its own number.
  expect(advice.map(({ follows }) => follows.map(({ id }) => id))).toEqual([
    ['deliveries-lost'],
    ['deferred-waits'],
    [],
  ]);
  expect(advice[1]?.message).toContain(' Nothing is lost yet: 3 wait to be sent again, the first until 13:00 UTC.');
  expect(advice[1]?.follows[0]?.message).toMatch(/^9 deferred deliveries wait to be sent again on 2 routes, the/);
});

test('a refusal counts on the route to which it was sent, else on that of its look; one that came back to us on none', () => {
  const routes = ['/a', '/b', 'unmatched'].map((path) => ({ ...NOTIFY, path }));
  const told = (before: readonly string[], changes: Partial<RequestRecord> = {}) => {
    const large = refused({ reason: 'body_too_large', status: 413, route: '/b', ...changes });
    const good = before.map((route) => accepted({ route }));
    const { advice, lost } = judgedAfter([tableOf(['/a', '/b']), ...good, ...times(3, large), 12], { routes });
    return [advice[0]?.id, advice[0]?.route, lost.refused];
  };
  for (const before of [['/b', '/a'], ['/a'], ['unmatched']]) expect(told(before)).toEqual(['large-body', '/b', 3]);
  const astray = { reason: 'bad_request', status: 400, rule: 'path', route: 'unmatched', path: '/x' } as const;
  expect(told(['/a'], astray)).toEqual(['gate-rule', '/a', 3]);
  const gated = { ...astray, path: '/b' } as const;
  expect(told(['/a'], gated)).toEqual(['gate-rule', '/b', 3]);
  expect(told([], gated)).toEqual(['gate-rule', '/b', 0]);
  // A reload has removed `/gone`: what is still sent there counts where it comes now, not where its look came last.
  const gone = { reason: 'route_rejected', status: 404, route: 'unmatched', path: '/gone' } as const;
  expect(told(['/a', '/gone', '/a'], gone)).toEqual(['other-address', 'unmatched', 3]);
  expect(told(['/a', 'unmatched', '/a'], { ...gone, path: '/notify' })).toEqual(['other-address', 'unmatched', 3]);
  expect(told(['/a', '/gone'], astray)).toEqual(['gate-rule', 'unmatched', 3]);
  const again = refused({ reason: 'loop_detected', status: 508 });
  const round = accepted({ status: 508, upstreamStatus: 508, upstreamError: 'LOOP_DETECTED' });
  const { lost } = judgedAfter([again, round, again]);
  expect(lost).toMatchObject({ failed: 1, refused: 0 });
});

test('a door is passed by what comes from the address that it turned away, on any route, and by no other sender', () => {
  const routes = ['/a', '/b'].map((path) => ({ ...NOTIFY, path }));
  const told = (address: string) => {
    const others = accepted({ route: '/b', client: address, connectionAddress: address });
    const away = [accepted({ route: '/a' }), ...times(3, { address: '192.0.2.7' }), 12];
    const { advice } = judgedAfter([...away, 'look', ...times(30, others, 5)], { routes });
    return advice.find(({ id }) => id === 'connections-full')?.state;
  };
  expect([told('192.0.2.7'), told('192.0.2.8')]).toEqual([undefined, 'failed']);
});

test('a handshake that fails as those of health checks do is a loss, but where deliveries came between such', () => {
  const without = { ...hint('handshake-fails', 'the client sent no certificate'), fromChecks: true };
  const told = (...happenings: ('accepted' | 'checked' | 'elsewhere')[]) =>
    judged({}, (health) => {
      for (const [nth, what] of happenings.entries()) {
        const at = NOW + nth * 10_000;
        if (what === 'accepted') health.ledger.deliver({ ...accepted({ startedAt: at }), fate: 'taken' }, at);
        else health.ledger.turnAway(what === 'checked' ? '192.0.2.7' : `203.0.113.${nth}`, at, without);
      }
    }).lost.turnedAway;
  expect(told('accepted', 'checked', 'checked')).toBe(2);
  expect(told('accepted', 'elsewhere', 'elsewhere')).toBe(0);
  const check = { address: '192.0.2.7', hint: without };
  const elsewhere = { address: '203.0.113.9' }; // a check came from there, and no delivery
  expect(judgedAfter([{ ...elsewhere, hint: without }, accepted(), elsewhere]).lost.turnedAway).toBe(0);
  expect(judgedAfter([check, accepted(), check]).advice[0]?.id).toBe('nothing-proven');
  expect(told('checked', 'accepted', 'checked', 'checked')).toBe(0);
  expect(told('accepted', 'checked', 'accepted', 'checked')).toBe(1);
  // Many others that are no deliveries' hide it not.
  const others = Array.from({ length: 20 }, () => 'elsewhere' as const);
  expect(told('accepted', 'checked', ...others, 'accepted', 'checked')).toBe(1);
});

test('redirects are told for a day, as a warning only while some of the last answers are', () => {
  const moved = accepted({ status: 308, upstreamStatus: 308 });
  const told = (hours: number, ...came: readonly RequestRecord[]) =>
    judgedAfter([...came, 3600 * hours]).advice.map(
      ({ state, message }) => `${state} ${/^The app answered .* 3xx/.exec(message)?.[0]}`,
    );
  const what = 'The app answered 3 deliveries of the last day to /notify with 3xx';
  expect(told(0, accepted(), moved, moved, moved)[0]).toBe(`warning ${what}`);
  const [unchanged] = judgedAfter(Array(3).fill(accepted({ status: 304, upstreamStatus: 304 }))).advice;
  expect(`${unchanged?.message} ${unchanged?.remedy}`).toMatch(
    / with 3xx \(304\).* A 304 is no redirect: look at the log of the app\.$/,
  );
  const half = [moved, accepted(), moved, accepted(), moved, accepted()];
  expect(told(0, ...half)[0]).toBe(`warning ${what}`);
  const others = new Array<RequestRecord>(24).fill(accepted());
  expect(told(0, ...half, ...others)).toEqual(['ok undefined', `note ${what}`]);
  expect(told(26, ...half, ...others)).toEqual(['ok undefined']);
});

test('the last one that the app took is any, also one that was sent again', () => {
  const again = { route: '/notify', fate: 'taken', event: '' } as const;
  const said = (...before: readonly RequestRecord[]) => headOf(judgedAfter([...before, 60, again]))[2];
  for (const before of [[accepted()], []])
    expect(said(...before)).toMatch(/^All is well: the app took the last delivery 0 s ago/);
  expect(judgedAfter([again, refused()]).advice[0]?.message).toMatch(/^No fresh delivery was accepted since the start/);
  const unknown = refused({ userAgent: 'axios/1', client: '192.0.2.44' });
  expect(said(accepted(), unknown)).toMatch(
    / took the last delivery 0 s ago \(.*\); since it took a fresh one, 1 request was refused: perhaps deliveries/,
  );
  expect(said(accepted(), unknown, accepted())).toMatch(/^All is well/);
});

test('a change since the last refusal is told as that, and one before it is not denied', () => {
  const said = (at: number, ...came: readonly RequestRecord[]) => {
    const paced = came.flatMap((one) => [one, 10]);
    return headOf(judgedAfter(paced, { reloads: [NOW + at], startedAt: NOW - 9 * HOUR }))[2];
  };
  const mended = said(-15_000, refused(), refused(), accepted());
  expect(mended).toContain(' 20 s ago (11:59 UTC), before a reload (11:59 UTC); as of then: it is signed with');
  expect(said(-5000, refused(), refused())).toContain(' before a reload (11:59 UTC); as of then: it is signed with');
  const caused = said(-25_000, accepted(), accepted(), refused(), refused());
  expect(caused).toContain(' It began at 11:59 UTC, 5 s after a reload.');
  const elsewhere = said(-7_300_000, accepted(), refused(), accepted(), refused());
  expect(elsewhere).toContain(' It began at 11:59 UTC. Nothing was changed here since the last one that was accepted');
  for (const message of [mended, caused]) expect(message).not.toContain('Nothing was changed');
});

test('of a cause’s end the condition is said that does not hold yet', () => {
  const said = (good: number, seconds: number) =>
    headOf(judgedAfter([...times(4, down), ...times(good, accepted()), seconds]))[2]?.match(
      /the app took .*? over .*?(?=\.)/,
    )?.[0];
  expect(said(10, 12)).toBe('the app took 10; this is over after 11 in a row and a minute');
  expect(said(13, 12)).toBe('the app took 13; this is over a minute after that one');
  expect(said(10, 61)).toBe('the app took 10; this is over after 11 in a row');
});

test('once the app answers what is sent again, it is told that, and no more that it accepts no connections', () => {
  const untaken = { fate: 'deferred', status: 202, upstreamStatus: 0, upstreamFailure: 'connect' } as const;
  const before = Array.from({ length: 20 }, (_, nth) => [accepted({ ...untaken, event: `e${nth}` }), 1]).flat();
  const said = (...answers: readonly number[]) => {
    const fateOf = (status: number) => (status === 404 ? 'refused' : 'failed');
    const again = answers.map((upstreamStatus) => {
      return { route: '/notify', event: 'e0', fate: fateOf(upstreamStatus), upstreamStatus } as const;
    });
    const deferred = { ...DEFERRED, waiting: 0, stopped: answers.length, deliveries: [] };
    return headOf(judgedAfter([...before, ...again], { deferred }));
  };
  expect(said().slice(0, 2)).toEqual(['failed', 'app-down']);
  expect(said(404)).toEqual([
    ...['failed', 'app-refuses'],
    expect.stringMatching(/^The app answered 404 to the last delivery to \/notify, 0 s ago/),
  ]);
  expect(said(500, 500).slice(0, 2)).toEqual(['failed', 'app-fails']);
  // What is over is told no more, but in what was lost.
  const fails = accepted({ status: 503, upstreamStatus: 503 });
  const { advice } = judgedAfter([...times(3, fails, 1), ...times(5, noAnswer('timeout'), 1), ...times(4, down, 1)]);
  const causes = advice[0]?.follows.map((one) => one.message.match(/\(\d[^()]*\)\.$/)?.[0]);
  expect([advice.length, advice[0]?.id, causes]).toEqual([1, 'app-down', ['(3 app-fails, 5 app-hangs, 4 app-down).']]);
});

test('of refusals before the first acceptance each counts once, also those that prove to be deliveries', () => {
  const bare = refused({ reason: 'missing_signature', signed: false });
  const { advice, lost } = judgedAfter([...times(40, { ...bare, userAgent: 'curl/8' }), ...times(5, bare), accepted()]);
  expect(lost.refused).toBe(5);
  expect(advice.find(({ id }) => id === 'no-signature')?.message).toMatch(/^40 requests of the last day were refused/);
});

test('what was lost since no secret is live follows from why none is', () => {
  const ended = { ...CURRENT, state: 'expired', notAfter: NOW - HOUR } as const;
  const without = refused({ reason: 'no_live_secret', status: 503 });
  const facts = { routes: [{ ...NOTIFY, liveSecrets: 0 }], secrets: [ended] };
  const { advice } = judgedAfter([accepted(), ...times(3, without), 12], facts);
  expect(advice.map(({ id, state, follows }) => [state, id, follows.map((one) => one.id)])).toEqual([
    ['failed', 'secrets-outside-dates', ['no-live-secret', 'deliveries-lost']],
  ]);
});

test('unsigned POSTs elsewhere are a warning only where deliveries are to come on no other path, however many', () => {
  const scans = times(5, refused({ ...bare, route: 'unmatched', path: '/.env' }));
  const said = (...all: readonly Route[]) => {
    const routes = all.map(({ path, action }) => ({ ...NOTIFY, path, action }));
    const { advice } = judgedAfter([table(all, 'verify'), ...scans], { routes });
    return advice.flatMap(({ state, id, route }) => (id === 'no-signature' ? `${state} ${route}` : []));
  };
  const unmatched = verify('unmatched');
  expect([said(unmatched), said(forward('/open'), unmatched)]).toEqual([['warning unmatched'], ['warning unmatched']]);
  expect(said(verify('/notify'), unmatched)).toEqual(['note null']);
});

test('what came on routes that reloads have removed is kept for a day', () => {
  const ledger = new Ledger();
  for (let nth = 0; nth < 9; nth++) {
    ledger.keepOnly(tableOf([`/${nth}`]), nth * 26 * HOUR);
    ledger.record(refused({ route: `/${nth}` }), nth * 26 * HOUR);
    const event = { route: `/${nth}`, event: '', fate: 'failed', upstreamStatus: 500 } as const;
    ledger.sentAgain(event, nth * 26 * HOUR);
  }
  expect([...ledger.tallies.claims.keys(), ...ledger.all.keys()]).toEqual(['/8', '/8']);
  ledger.keepOnly(tableOf(['/9']), 300 * HOUR);
  expect(ledger.hasEpisode(300 * HOUR)).toBe(false);
  const [routes, early] = [tableOf(['/notify']), times(3, refused())]; // those of a route that stays are told longer
  expect(judgedAfter([routes, ...early, 90_000, routes]).advice[0]?.state).toBe('warning');
});

const stranger = { userAgent: 'axios/1', client: '192.0.2.44', connectionAddress: '192.0.2.44' } as const;

test('what is a loss and what may be one are one item where their route and cause are one', () => {
  const { advice } = judgedAfter([accepted(), ...times(3, refused()), ...times(3, refused(stranger)), 12]);
  const message = expect.stringMatching(/^The last 3 deliveries to .* Nothing proves that a/);
  expect(advice).toEqual([expect.objectContaining({ state: 'failed', id: 'another-secret', message })]);
});

test('a signature under another name is told as dropped: of strangers as a claim, and in the log line of each', () => {
  const named = refused({ ...stranger, ...bare, renamedHeader: 'X-Entrupy-Signature' });
  const renamed = headOf(judgedAfter([accepted(), ...times(3, named)]));
  expect(renamed.slice(0, 2)).toEqual(['warning', 'signature-dropped']);
  expect(renamed[2]).toMatch(
    /^3 requests .* came in X-Entrupy-Signature, so something in front .* Nothing proves that a/,
  );
  const line = (renamedHeader: string | null) => new Ledger().record(refused({ ...bare, renamedHeader }), 0);
  expect([line('X-Entrupy-Signature'), line(null)]).toEqual(['signature-dropped', 'no-signature']);
});

test('what a front writes before a request is a loss where deliveries come from, and no garbage lets all be well there', () => {
  const told = (hint: Hint | null, connectionAddress: string, amount = 1, ...others: RequestRecord[]) => {
    const unread = { route: 'unmatched', path: '', method: '', userAgent: '', contentType: '', signed: false } as const;
    const cut = { ...unread, event: '', reason: 'bad_request', rule: 'parser', status: 400 } as const;
    const bad = refused({ ...cut, hint, client: connectionAddress, connectionAddress });
    const { advice, lost } = judgedAfter([accepted(), ...others, ...times(amount, bad)]);
    return [advice[0]?.id, lost.refused];
  };
  // Another protocol may be a stranger's, too; some from where nothing but deliveries came are a warning.
  for (const other of ['\x16\x03\x01', 'PRI * HTTP/2.0\r\n\r\nSM']) {
    const scan = refused({ ...bare, client: '198.51.100.3' });
    const hint = preambleHint(Buffer.from(other, 'latin1'));
    expect(told(hint, '192.0.2.7', 3)).toEqual(['gate-rule', 0]);
    expect(told(hint, '192.0.2.7', 3, scan)).toEqual(['nothing-proven', 0]);
    expect(told(hint, '203.0.113.9', 3)).toEqual(['all-is-well', 0]);
  }
  for (const preamble of ['PROXY TCP4 192.0.2.1 10.0.0.1 1 2\r\n', '\r\n\r\n\0\r\nQUIT\n!']) {
    expect(told(preambleHint(Buffer.from(preamble, 'latin1')), '192.0.2.7')).toEqual(['gate-rule', 1]);
    expect(told(preambleHint(Buffer.from(preamble, 'latin1')), '203.0.113.9')).toEqual(['all-is-well', 0]);
  }
  for (const other of ['\x16\x03\x01', 'PRI * HTTP/2.0\r\n\r\nSM', 'junk']) {
    expect(told(preambleHint(Buffer.from(other, 'latin1')), '192.0.2.7')).toEqual(['nothing-proven', 0]);
    expect(told(preambleHint(Buffer.from(other, 'latin1')), '203.0.113.9')).toEqual(['all-is-well', 0]);
  }
});

test('deliveries that wait for the app are told before they fail, unless a later one was taken', () => {
  const told = (amount: number, longestMs: number) =>
    headOf(judgedAfter([accepted(), 60], { unanswered: { amount, longestMs } })).slice(0, 2);
  expect(told(30, 59_000)).toEqual(['warning', 'slow-app']);
  expect(told(1, 59_000)).toEqual(['ok', 'nothing-proven']);
  expect(told(30, 61_000)).toEqual(['ok', 'all-is-well']);
});

test('who left at once says nothing of the app', () => {
  const left = (departedMs: number) =>
    accepted({ status: 499, reason: 'client_closed', upstreamStatus: 0, departedMs });
  const said = (...came: readonly RequestRecord[]) => judgedAfter([accepted(), ...came, 12]).advice[0];
  for (const [ms, after] of [
    [2, '0 s'],
    [3000, '3 s'],
  ] as const)
    expect(said(...Array(6).fill(left(ms)))).toMatchObject({
      message: expect.stringContaining(
        `The sender left, after ${after}, before the app answered the last 6 deliveries`,
      ),
      remedy: expect.stringMatching(/left at once, the proxy or its machine stood still/),
    });
  // Taken after they had left, they do not make it slow.
  expect(said(...Array(6).fill(accepted({ departedMs: 2, upstreamMs: 3 })))?.id).toBe('all-is-well');
});

test('an app that answers what its senders left is slow', () => {
  const left = accepted({ status: 499, reason: 'client_closed', upstreamMs: 3000, departedMs: 2000, fate: 'taken' });
  expect(headOf(judgedAfter(times(5, left))).slice(0, 2)).toEqual(['warning', 'slow-app']);
  const health = new Health(() => 5000);
  for (const upstreamMs of Array(5).fill(1700)) health.deliver({ ...accepted({ upstreamMs }), fate: 'taken' });
  expect(health.judge(factsOf()).advice[0]?.id).toBe('slow-app'); // nearer to its end than to its begin
});

test('a probe that the app did not take stays told beside what is wrong, until it takes one', () => {
  const probe = (upstreamStatus: number) => accepted({ decision: 'probe', fate: 'none', upstreamStatus });
  const unsigned = refused({ ...bare, ...stranger });
  const said = (...came: readonly RequestRecord[]) =>
    judgedAfter([...came, ...times(3, unsigned)]).advice.map(({ state, id }) => `${state} ${id}`);
  expect(said(probe(500))).toEqual(['warning no-signature', 'note app-fails']);
  expect(judgedAfter([accepted(), probe(500)]).advice[0]?.id).toBe('nothing-proven');
  for (const one of [probe(200), accepted()]) expect(said(probe(500), one)).not.toContain('note app-fails');
});

test('where all were known to a store of delivered events without a name, another app may have them', () => {
  const twin = accepted({ decision: 'duplicate', fate: 'duplicate', upstreamStatus: 0 });
  const said = (isUnnamed: boolean, ...before: readonly RequestRecord[]) =>
    judgedAfter([...before, ...times(3, twin)], { once: { ...ONCE, isUnnamed } }).advice[0];
  expect(said(true)).toMatchObject({ state: 'warning', id: 'once-store', remedy: expect.stringMatching(/once\.name/) });
  expect([said(true, accepted())?.state, said(false)?.state]).toEqual(['ok', 'ok']);
  const [, note] = judgedAfter(times(3, twin), { once: ONCE }).advice;
  expect(note).toMatchObject({
    state: 'note',
    message: expect.stringMatching(/another app may share .* or another replica took them\.$/),
  });
});

test('what went to the app without once stays told for a quarter of an hour after its store works again', () => {
  const said = (ago: number) =>
    judgedAfter([accepted()], { once: { ...ONCE, unclaimed: { count: 8, at: NOW - ago } } }).advice[0];
  const message = expect.stringMatching(
    / works again\. Since the start 8 deliveries went to the app without it, the last /,
  );
  expect(said(890_000)).toMatchObject({ state: 'warning', id: 'once-store', message });
  expect(said(900_000)?.state).toBe('ok');
});

test('of two causes each is failed by its own share, or both by the one that they have together', () => {
  const said = (...came: Parameters<typeof judgedAfter>[0]) =>
    judgedAfter(came).advice.flatMap(({ id, state }) => (id === 'deliveries-lost' ? [] : `${state} ${id}`));
  const some = (...bad: readonly RequestRecord[]) =>
    Array(6)
      .fill([...bad, ...times(6, accepted()), 2])
      .flat();
  expect(said(accepted(), ...some(fails, refused()), 2)).toEqual(['failed app-fails', 'failed another-secret']);
  expect(said(accepted(), ...some(fails))).toEqual(['warning app-fails']);
  const behind = times(6, ...times(8, refused()), fails, accepted(), accepted(), 2);
  expect(said(accepted(), ...behind, 12)).toEqual(['failed another-secret', 'failed app-fails']);
  const apart = times(2, fails, ...times(3, accepted()), 2);
  expect(said(accepted(), ...apart, refused(), refused(), 12)).toEqual(['failed another-secret', 'warning app-fails']);
  expect(said(accepted(), ...times(6, fails, 3), down)).toEqual(['failed app-fails', 'warning app-down']);
  const busy = accepted({ status: 429, upstreamStatus: 429 });
  const both = times(4, fails, 1, fails, 1, busy, 1);
  expect(said(accepted(), ...both, 12)).toEqual(['failed app-fails', 'failed app-busy']); // the commonest first
  expect(said(accepted(), ...times(3, fails, 1, busy, 1), 12)).toEqual(['failed app-busy', 'failed app-fails']); // or last
  const restarts = [...some(fails), ...times(3, down)];
  expect([said(accepted(), ...restarts), judgedAfter(restarts).isFresh]).toEqual([['warning app-down'], true]);
  const rest = Array(4)
    .fill([refused(), ...times(40, accepted()), 1])
    .flat();
  expect(said(accepted(), ...times(45, fails), 12, ...rest)).toEqual(['failed app-fails', 'warning another-secret']);
});

test('a certificate is told by its own length before it ends, and fails in its last hour', () => {
  const at = (hours: number, left: number) => {
    const dates = { notBefore: NOW + (left - hours) * HOUR, notAfter: NOW + left * HOUR };
    const { advice } = judged({ certificates: [{ certificate: 'listen', file: '/tls.crt', ...dates }] });
    return advice.map(({ state, id }) => (id === 'certificate-ends' ? state : ''))[0];
  };
  const ofADay = [23, 3, 0.9].map((left) => at(24, left));
  expect([...ofADay, at(1, 0.3), at(1, 0.01)]).toEqual(['', 'warning', 'failed', '', 'failed']);
  const of90Days = [15 * 24, 13 * 24, 2, -1].map((left) => at(90 * 24, left));
  expect(of90Days).toEqual(['', 'warning', 'warning', 'failed']);
});

test('three signatures that nobody looked at make it failed before the first acceptance; a path that a reload has made a route is no typo', () => {
  const unseen = accepted({ route: 'unmatched', path: '/new', decision: 'forwarded', fate: 'none' });
  const said = (path: string, came: Parameters<typeof judgedAfter>[0] = times(3, unseen)) => {
    const routes = [{ ...NOTIFY, path }];
    const { advice } = judgedAfter([...came, tableOf([path])], { routes });
    return advice.flatMap(({ id, state, message }) => (id === 'signed-unverified' ? `${state} ${message}` : []));
  };
  expect(said('/notfy')).toEqual([expect.stringMatching(/^failed .* verified is \/notfy: is your route's path/)]);
  // Any stranger can send one, or two, or one a day.
  expect(said('/notfy', [...times(2, unseen), 26 * 3600, unseen])).toEqual([
    expect.stringMatching(/^warning 1 request with a signature was forwarded/),
  ]);
  expect(said('/notfy', times(2, unseen))).toEqual([
    expect.stringMatching(/^warning 2 requests with a signature were forwarded/),
  ]);
  expect(said('/new')).toEqual([expect.stringMatching(/^note .*; it is a route since a reload\.$/)]);
});

test('what nobody verified has the outcome of a delivery where it has the look and the address of one', () => {
  const routes = ['/notify', '/open', 'unmatched'].map((path) => ({
    ...{ ...NOTIFY, path },
    action: path === '/notify' ? ('verify' as const) : ('forward' as const),
  }));
  const told = (amount: number, changes: Partial<RequestRecord> = {}) => {
    const sent = { route: 'unmatched', path: '/notfy', decision: 'forwarded', fate: 'none' } as const;
    const untaken = accepted({ ...sent, status: 404, upstreamStatus: 404, ...changes });
    const came = [accepted(), ...times(amount, untaken), ...times(20, accepted(sent)), ...times(amount, untaken), 12];
    const { advice, lost } = judgedAfter(came, { routes });
    return [advice[0]?.state, advice[0]?.id, advice[0]?.route, lost.refused];
  };
  expect(told(15)).toEqual(['failed', 'app-refuses', 'unmatched', 30]);
  expect(told(1)).toEqual(['warning', 'app-refuses', 'unmatched', 2]);
  expect(told(15, { route: '/open' })).toEqual(['failed', 'app-refuses', '/open', 30]);
  expect(told(15, stranger)).toEqual(['warning', 'signed-unverified', 'unmatched', 0]);
  expect(told(15, { ...stranger, route: '/notify' })).toEqual(['warning', 'signed-unverified', '/notify', 0]);
  expect(told(15, { ...stranger, route: '/open' })).toEqual(['warning', 'signed-unverified', 'unmatched', 0]);
  expect(told(15, { ...stranger, route: '/open/*' })).toEqual(['warning', 'signed-unverified', '/open/*', 0]);
  expect(told(15, { route: '/notify', decision: 'reported' })[3]).toBe(0);
});

test('what is left where no route is ends once its sender uses the new route, or is forwarded again', () => {
  const paths = ['/hooks', 'unmatched'];
  const routes = paths.map((path) => ({ ...NOTIFY, path }));
  const told = (left: Partial<RequestRecord>, after: RequestRecord, pause: number) => {
    const astray = times(5, accepted({ ...FORWARDED, ...left }), 5);
    const came = [accepted(), accepted(MOVED), tableOf(['/hooks']), ...astray, 12, 'look'] as const;
    const { advice } = judgedAfter([...came, ...times(60, after, pause)], { routes });
    return advice.find(({ id, route }) => route === 'unmatched' && !/lost|unverified/.test(id))?.state;
  };
  const MOVED = { route: '/hooks', path: '/hooks' };
  const FORWARDED = { route: 'unmatched', path: '/notify', decision: 'forwarded', fate: 'none' } as const;
  const gone = { status: 404, upstreamStatus: 404 };
  const full = { ...refused({ reason: 'overloaded', status: 503 }), ...FORWARDED, decision: 'rejected' } as const;
  // One that still sends there, a few an hour, is no other's good one; nor is another sender's, of a mistyped address.
  expect([told(gone, accepted(MOVED), 50), told(gone, accepted(MOVED), 120)]).toEqual(['failed', undefined]);
  expect(told(full, accepted(FORWARDED), 30)).toBeUndefined();
  const typo = accepted({ route: 'unmatched', path: '/notfy', ...gone });
  const corrected = (after: RequestRecord) =>
    judgedAfter([accepted(), ...times(3, typo, 5), ...times(90, after, 60)]).advice.find(
      ({ id }) => id === 'app-refuses',
    );
  expect(corrected(accepted())).toBeUndefined();
  expect(corrected(accepted({ client: '192.0.2.99' }))?.message).toMatch(
    /there or, an hour after that one, on a route\.$/,
  );
});

test('a route becomes red no more once each delivery that failed there was taken later, also by another replica', () => {
  const untaken = { fate: 'deferred', status: 202, upstreamStatus: 0, upstreamFailure: 'connect' } as const;
  const came = [...['a', 'b'].map((event) => accepted({ ...untaken, event })), 12];
  const state = (...routes: string[]) => {
    const deferred = { ...DEFERRED, deliveries: [], waiting: 2 * routes.length, routes };
    return headOf(judgedAfter(came, { deferred })).slice(0, 2);
  };
  expect([state('/notify'), state()]).toEqual([
    ['failed', 'app-down'],
    ['warning', 'app-down'],
  ]);
});

test('a cause beside an older one is judged since its own first, also where a good one was on its way then', () => {
  const drops = times(20, refused({ reason: 'missing_signature', signed: false }), 1, ...times(39, accepted(), 1));
  const first = { ...fails, startedAt: performance.now() + 800_000 - 1500 };
  const came = [...drops, first, 1, ...times(9, accepted(), 1, accepted(), 1, fails, 1)];
  expect(headOf(judgedAfter(came)).slice(0, 2)).toEqual(['failed', 'app-fails']);
  const soon = [...drops, accepted(), 3, ...times(4, fails, 0.1, accepted(), 0.1), 12];
  const burst = [accepted(), ...times(14, fails, 0.1, ...times(2, accepted(), 0.1)), 100, accepted()]; // all count, or none
  for (const all of [soon, burst]) expect(headOf(judgedAfter(all)).slice(0, 2)).toEqual(['failed', 'app-fails']);
});

test('what other processes took ends a row, too, and the last that is lost is one of those that are', () => {
  const [one, other] = ['one', 'other'].map((event) => ({ ...fails, event }));
  const twins = ['one', 'other'].map((event) => accepted({ event, decision: 'duplicate', upstreamStatus: 0 }));
  const said = (...later: readonly Coming[]) =>
    judgedAfter([accepted(), one ?? 1, 30, other ?? 1, ...later]).advice[0]?.follows[0]?.message ?? '';
  expect(said(10)).toContain(', the last one 10 s ago ');
  expect(said(...twins.slice(1), 10)).toContain(', the last one 40 s ago ');
  const state = judgedAfter([accepted(), one ?? 1, other ?? 1, ...twins, 70, fails, 5]).advice[0]?.state;
  expect(state).toBe('warning');
  const refuses = accepted({ status: 404, upstreamStatus: 404, event: 'one' });
  const moved = judgedAfter([accepted(), one ?? 1, refuses, accepted(), 1]).advice.map(({ message }) => message);
  expect(moved).toEqual([expect.stringMatching(/^The app answered 404 to 1 of 2 deliveries /)]);
});

test('no span is negative where the clock has stepped back', () => {
  expect(judged({ startedAt: NOW + HOUR }).advice[0]?.message).toContain('since the start, 0 s ago');
});

const unread = refused({
  ...{ reason: 'header_too_large', status: 431, rule: 'head-size', route: 'unmatched', path: '', method: '' },
  ...{ signed: false, event: '', userAgent: '', contentType: '' },
});

test('of what report mode lets pass it is said what the app did with it, and nothing of it was refused', () => {
  const passed = (changes: Partial<RequestRecord>) => refused({ decision: 'reported', status: 200, ...changes });
  const told = (...came: readonly RequestRecord[]) =>
    judgedAfter(came, { routes: [{ ...NOTIFY, mode: 'report' }] }).advice.flatMap(({ id, state, message }) =>
      id === 'report-mode' ? [] : [[state, id, message]],
    );
  const failing = passed({ status: 500, upstreamStatus: 500 });
  const untaken = expect.stringMatching(/^The app answered 500 to 2 requests .* that report mode forwarded/);
  expect(told(failing, failing)).toEqual([
    ['warning', 'another-secret', expect.stringMatching(/^2 requests .* would be refused/)],
    ['warning', 'app-fails', untaken],
  ]);
  const unsigned = { ...bare, ...stranger } as const;
  const lost = passed({ ...unsigned, status: 502, upstreamFailure: 'connect', userAgent: PROBE_AGENT });
  expect(told(lost).filter(([state]) => state === 'note')).toEqual([
    ['note', 'no-signature', expect.stringMatching(/^1 request .* would be refused \(report mode forwarded them\)/)],
  ]);
});

test('nothing follows from a secret’s problem that began before it, or on a route that has another one', () => {
  const told = (id: string, since: number, isRefused = false) =>
    judgedAfter([accepted(), ...times(3, refused()), 12], {
      secrets: [CURRENT, { ...CURRENT, id, problem: 'it is empty; the last good value is still in use' }],
      lastReload: { ok: false, at: NOW - since, error: `secret ${id}: it is empty`, refused: isRefused },
    }).advice.map((one) => one.id);
  const notes = judgedAfter([accepted(), refused(stranger)], {
    secrets: [{ ...CURRENT, problem: 'it is empty' }],
    config: { ...CONFIG, warnings: ['a', 'b'] },
  });
  const ids = ['secret-problem', 'another-secret', 'chosen', 'chosen'];
  expect(notes.advice.map((one) => one.id)).toEqual(ids);
  expect(notes.right.map((one) => one.id)).toContain('secrets');
  // What is wrong in the configuration beside it is no consequence of it.
  const isTold = (isRefused: boolean) => told('current', 20_000, isRefused).includes('reload-failed');
  expect([isTold(false), isTold(true)]).toEqual([false, true]);
  expect(told('current', 20_000)[0]).toBe('secret-problem');
  for (const ids of [told('current', 5000), told('other', 20_000)]) expect(ids[0]).toBe('another-secret');
});

test('deliveries have stopped only where their pauses of a day are known: a first quiet night warns of nothing', () => {
  const unsigned = refused({ ...bare, userAgent: 'curl/8' });
  const said = (hours: number, after: readonly Coming[], pause = 900, ...beside: readonly Coming[]) =>
    judgedAfter([...times((hours * 3600) / pause + 1, accepted(), ...beside, pause), ...after]).advice.map(
      ({ state, id, message }) => `${state} ${id} ${message.split('longer than ever').length - 1}`,
    );
  const calm = ['ok all-is-well 0', 'note no-signature 0'];
  expect(said(3, times(5, unsigned, 1800))).toEqual(calm);
  expect(said(25, times(5, unsigned, 1800))).toEqual(['warning signature-dropped 1']); // and in no note beside it
  // Nor do two, or a pause of less than a quarter of an hour, or what came before, or as much beside deliveries.
  expect(said(25, times(2, unsigned, 3600))).toEqual(calm);
  expect(said(25, times(5, unsigned, 120), 60)).toEqual(calm);
  const other = { ...unsigned, client: '192.0.2.44' }; // through the same front
  const [proven, slow] = [
    refused({ hint: hint('body-changed', '') }),
    refused({ ...unread, reason: 'header_timeout' }),
  ];
  const { advice } = judgedAfter([proven, ...times(101, accepted(), 900), ...times(5, slow, 1800)]);
  expect(advice[0]).toMatchObject({ state: 'warning', id: 'slow-request' }); // what proves a sender is no acceptance
  for (const after of [[9000], times(9, other, 900)]) expect(said(25, after, 900, other)).toEqual(calm);
});

test('a route is red no longer than one that still fails as often would take so many in a row by chance', () => {
  const said = (bad: number, good: number, seconds = 61) =>
    headOf(judgedAfter([...times(bad, fails), 12, 'look', ...times(good, accepted()), seconds - 12]))[0];
  expect([said(1, 1, 13), said(1, 2, 13)]).toEqual(['failed', 'warning']);
  for (const [bad, good] of [
    [2, 9],
    [12, 9],
  ] as const)
    expect([said(bad, good - 1), said(bad, good, 59), said(bad, good)]).toEqual(['failed', 'failed', 'warning']);
  const slow = [...times(8, ...times(7, accepted(), 300), fails, 300, 'look'), ...times(22, accepted(), 300)];
  expect(headOf(judgedAfter([...times(3, fails, 300, 'look'), ...slow]))[0]).toBe('failed');
  const seldom = (bad: number, good: number) => times(bad, ...times(good, accepted(), 20), fails, 20, 'look');
  const ever = [...seldom(30, 1), ...seldom(10, 8), ...seldom(20, 14)];
  const last = [ever, [...ever, ...seldom(6, 29)]].map((came) => headOf(judgedAfter(came))[0]);
  expect(last).toEqual(['failed', 'warning']); // below a twentieth, though each row was too short to end it
});

test('an outage that ended is red until as many good ones came as were lost, and says so before the first', () => {
  const at = (amount: number, one: RequestRecord) => times(amount, one, 900, 'look');
  const said = (one: RequestRecord, good: number, bad = 4) => {
    const [{ state, message } = { state: '', message: '' }] = judgedAfter([
      ...[...at(24, accepted()), ...at(bad, one), ...at(good, accepted())],
    ]).advice;
    return `${state}${/ [^.]* is [^.]*over[^.]*/.exec(message)?.[0]}`;
  };
  expect(said(fails, 0)).toMatch(/^failed This is a warning after 9, and over after 11 in a row/);
  expect(said(fails, 3)).toMatch(/^failed Since .* the app took 3; this is a warning after 9, and over after 11 in/);
  expect(said(fails, 4)).toMatch(/^warning Since the last that failed the app took 4; this is over after 11 in a row/);
  const states = [said(fails, 3, 3), said(fails, 4, 3), said(fails, 5, 6)].map((text) => text.slice(0, 7));
  expect(states).toEqual(['failed ', 'warning', 'failed ']);
  // Where it refused connections, that it accepts them again is evidence, too.
  expect([said(down, 2, 8), said(down, 3, 8)].map((text) => text.slice(0, 7))).toEqual(['failed ', 'warning']);
  // With a good one between bad ones it is a share.
  expect(headOf(judgedAfter([...at(3, fails), accepted(), ...at(2, fails), ...at(5, accepted())]))[0]).toBe('failed');
});

test('a delivery to a mistyped path is told on the route whose path is most like it, and only what comes there ends it', () => {
  const routes = tableOf(['/a', '/b'], 'reject');
  const on = (route: string) => accepted({ route, path: route });
  const astray = refused({ reason: 'route_rejected', route: 'unmatched', path: '/A-typo', status: 404 });
  const told = (...came: readonly Coming[]) =>
    judgedAfter([routes, on('/a'), on('/b'), ...times(5, astray, ...times(22, on('/b'), 11)), ...came]).advice.flatMap(
      ({ id, state, route, message }) =>
        id === 'other-address' ? [state, route, /last (\d+) .*\/A-typo/.exec(message)?.[1]] : [],
    );
  expect(told()).toEqual(['failed', '/a', '5']);
  expect(told(...times(400, on('/b'), 11))).toEqual(['failed', '/a', '5']);
  expect(told(...times(14, on('/a'), 60))).toEqual([]);
});

test('what was refused before a reload is red no more, and the end of report mode is a change', () => {
  const astray = refused({ reason: 'route_rejected', route: 'unmatched', path: '/notify', status: 404 });
  const wrong = [tableOf(['/hooks'], 'reject'), accepted({ route: '/hooks', path: '/hooks' }), ...times(3, astray, 20)];
  const first = ({ advice: [one] }: ApiStatus) => [one?.state, /before a reload/.exec(one?.message ?? '')?.[0]];
  expect(first(judgedAfter(wrong))).toEqual(['failed', undefined]);
  const corrected = [...wrong, tableOf(['/hooks', '/notify'], 'reject'), 400];
  const routes = [NOTIFY, { ...NOTIFY, path: '/hooks' }];
  expect(first(judgedAfter(corrected, { routes, reloads: [NOW - 390_000] }))).toEqual(['warning', 'before a reload']);
  const enforced = { routes: [{ ...NOTIFY, mode: 'report', reportUntil: NOW - 100_000 } as const] };
  expect(headOf(judgedAfter([accepted(), refused({ startedAt: performance.now() }), 12], enforced)).join(' ')).toMatch(
    / s after \/notify began to enforce \(reportUntil\)/,
  );
});

test('what was refused is red no more once a reload may have ended it, until one is refused again', () => {
  const said = (one: RequestRecord, ...since: readonly Coming[]) =>
    judgedAfter([accepted(), ...times(3, one), 12, ...since], { reloads: [NOW - 6000] }).advice[0]?.state;
  for (const one of [refused(), refused({ reason: 'body_too_large', status: 413 })])
    expect([said(one, 6), said(one, 6, one, 1)]).toEqual(['warning', 'failed']);
  for (const look of [{ userAgent: 'Entrupy/1.2' }, { contentType: 'application/json; charset=utf-8' }])
    expect(said(refused(), 6, refused(look), 1)).toBe('failed'); // another version is no other sender
  expect(said(accepted({ status: 500, upstreamStatus: 500 }), 6)).toBe('failed');
});

test('on a route that only reports, requests without a signature are a warning while nothing was verified', () => {
  const unsigned = refused({ decision: 'reported', status: 200, upstreamStatus: 200, ...bare });
  const said = (...before: readonly RequestRecord[]) =>
    judgedAfter([...before, ...times(3, unsigned)], { routes: [{ ...NOTIFY, mode: 'report' }] }).advice.find(
      ({ id }) => id === 'no-signature' || id === 'signature-dropped',
    )?.state;
  expect([said(), said(accepted({ userAgent: 'Entrupy/0', client: '192.0.2.44' }))]).toEqual(['warning', 'note']);
});

test('a process younger than a day speaks of no day', () => {
  const said = (startedAt: number) => headOf(judgedAfter([accepted()], { startedAt }))[2];
  expect(said(NOW - 5000)).toMatch(/, and since the start, 5 s ago, none is known to be lost\.$/);
  expect(said(NOW - 25 * HOUR)).toMatch(/, and of the last day none is known to be lost\.$/);
});

test('a secret that ends as planned is a warning only while somebody uses it, or nothing else verifies', () => {
  const told = (old: number, next: number, changes: Partial<Facts> = {}) => {
    const [then, now] = [old, next].map((minutes) => (minutes === 0 ? 0 : NOW / 1000 - minutes * 60));
    const secrets = [
      { ...CURRENT, lastMatch: then ?? 0, notAfter: NOW + 20 * HOUR },
      { ...CURRENT, id: 'next', lastMatch: now ?? 0 },
    ];
    const routes = [{ ...NOTIFY, secretIds: ['current', 'next'], liveSecrets: 2 }];
    return judged({ secrets, routes, ...changes }).advice.some(({ id }) => id === 'secret-ends');
  };
  expect([told(600, 5), told(0, 5)]).toEqual([false, false]);
  expect([told(30, 5), told(600, 700), told(0, 0)]).toEqual([true, true, true]);
  const alone = { ...NOTIFY, path: '/other' };
  expect(told(600, 5, { routes: [alone] })).toBe(true);
});

test('an end of the only secret, or of one that somebody signs with, is red in its last hour, or its last quarter', () => {
  const said = (minutes: number, of: Partial<SecretFacts> = {}, changes: Partial<Facts> = {}, last = NOW / 1000) => {
    const ending = { ...CURRENT, notAfter: NOW + minutes * 60_000, ...of };
    const next = { ...CURRENT, id: 'next', changedAt: NOW - HOUR, lastMatch: last };
    const { advice } = judged({ secrets: [ending, next], ...changes });
    return advice.find(({ id }) => id === 'secret-ends' || id === 'old-secret-used')?.state;
  };
  expect([said(61), said(59)]).toEqual(['warning', 'failed']);
  expect(said(59, {}, { routes: [{ ...NOTIFY, mode: 'report' }] })).toBe('warning');
  const routes = [{ ...NOTIFY, secretIds: ['next', 'next.previous'], liveSecrets: 2 }];
  const used = (minutes: number, ago: number, next?: number) =>
    said(minutes, { id: 'next.previous', lastMatch: NOW / 1000 - ago * 60 }, { routes }, next);
  expect([used(21, 18), used(19, 18), used(19, 21), used(19, 61)]).toEqual(['warning', 'failed', 'warning', undefined]);
  // Nothing came since: its successor has proven nothing.
  expect([used(21, 21, 0), used(19, 21, 0)]).toEqual(['warning', 'failed']);
  const [next, old] = [5, 3].map((hours) => ({ ...CURRENT, lastMatch: NOW / 1000 - hours * 3600 }));
  const secrets = [
    { ...CURRENT, ...next, id: 'next', changedAt: NOW - 9 * HOUR },
    { ...CURRENT, ...old, id: 'next.previous', notAfter: NOW + 0.4 * HOUR },
  ];
  expect(judged({ secrets, routes }).advice[0]).toMatchObject({
    state: 'failed',
    message: expect.stringMatching(/^Rotation: senders still sign with the old value of next, the last one 3 h ago/),
  });
});

test('a secret with the value of another one of its routes is no new one', () => {
  const copy = { ...CURRENT, id: 'next', sameAs: 'current', note: 'it has the same value as current' };
  const said = (...secretIds: string[]) =>
    judged({ secrets: [CURRENT, copy], routes: [{ ...NOTIFY, secretIds }] }).advice.flatMap((one) =>
      one.id === 'secret-value' ? `${one.state} ${one.remedy}` : [],
    );
  expect(said('current', 'next')).toEqual([expect.stringMatching(/^warning Put the new value there/)]);
  expect(said('next')).toEqual([expect.stringMatching(/^note Nothing, while/)]);
});

test('what has only the look of deliveries, or only their address that others share, is one once those have stopped', () => {
  const told = (lost: (nth: number) => Partial<RequestRecord>, scan: Partial<RequestRecord>, minutes: number) => {
    const scans = refused({ reason: 'missing_signature', method: 'GET', signed: false, userAgent: 'zgrab', ...scan });
    const stopped = Array.from({ length: minutes / 5 }, (_, nth) => [refused(lost(nth)), 300]).flat();
    return headOf(judgedAfter([...times(300, accepted(), scans, 300), ...stopped])).slice(0, 2);
  };
  const moved = (nth: number) => ({ client: `198.51.100.${nth}` });
  expect(told(moved, stranger, 15)).toEqual(['warning', 'another-secret']);
  expect(told(moved, stranger, 40)).toEqual(['failed', 'another-secret']);
  expect(told(moved, { ...refused(), ...moved(0) }, 40)).toEqual(['warning', 'another-secret']); // as many came before
  const large = () => unread;
  expect(told(large, stranger, 15)).toEqual(['failed', 'large-head']);
  expect(told(large, {}, 15)).toEqual(['warning', 'large-head']);
  expect(told(large, {}, 40)).toEqual(['failed', 'large-head']);
  expect(headOf(judgedAfter(times(3, unread)))[0]).toBe('warning'); // before the first, too
  const stripped = refused(bare);
  expect(judgedAfter([accepted(), stripped, unread]).lost.refused).toBe(2); // a delivery, and no others' request
});

test('an event whose tries lie within each other came back to us, whatever answered', () => {
  const passes = (nth: number) =>
    [8, 7, 6, 5, 4, 3, 2, 1].map((pass) => {
      const startedAt = nth * 1000 + pass;
      return accepted({ status: 503, upstreamStatus: 503, event: `looped ${nth}`, startedAt });
    });
  const { advice, lost } = judgedAfter([...[0, 1, 2, 3, 4, 5].flatMap(passes), 12]);
  expect([advice[0]?.id, lost.failed]).toEqual(['upstream-loop', 6]);
  expect(advice[0]?.message).toMatch(/^The app answered 503 to the last 6 deliveries/);
});

test('two stored events that fail again leave a route that takes others alone, and three make it failed', () => {
  const stored = ['a', 'b', 'c'].map((event) => accepted({ fate: 'deferred', upstreamStatus: 500, event }));
  const told = (...events: readonly string[]) => {
    const failing = (event: string) => ({ route: '/notify', event, fate: 'failed', upstreamStatus: 500 }) as const;
    const again = times(2, ...events.flatMap((event) => [failing(event), 6]));
    const came = [...stored, accepted(), failing('c'), ...times(10, accepted(), 60), ...again];
    const [first] = judgedAfter(came, { deferred: { ...DEFERRED, waiting: 3 } }).advice;
    return [first?.state, first?.id, /the last time \d+ s ago|The app took/.exec(first?.message ?? '')?.[0]];
  };
  expect(told('a', 'b')).toEqual(['warning', 'app-fails', 'the last time 6 s ago']);
  expect(told('a', 'b', 'c')).toEqual(['failed', 'app-fails', 'the last time 6 s ago']);
});

test('of two causes the one that keeps the app from taking any now is told first', () => {
  const upstream = { ...factsOf().upstream, reachable: false, error: 'ECONNREFUSED' };
  const { advice } = judgedAfter([...times(5, noAnswer('timeout')), ...times(2, down), 12], { upstream });
  expect(advice.slice(0, 2).map(({ id }) => id)).toEqual(['app-down', 'app-hangs']);
});

test('what is failed by itself makes a cause no worse that strikes a few of its route', () => {
  const turnedAway = { at: NOW, kind: 'full', why: 'maxBytes', before: 0 } as const;
  const full = { ...DEFERRED, waiting: 0, state: 'full', problem: 'maxBytes', turnedAway } as const;
  const { advice } = judgedAfter([...times(30, accepted()), fails, 12], { deferred: full });
  const shown = advice.map(({ id, state }) => `${id} ${state}`);
  expect(shown).toEqual(['store-full failed', 'app-fails warning']);
});

test('a store with little room is told before the first that does not fit, and works not again while it lasts', () => {
  const turnedAway = { at: NOW, kind: 'full', why: 'maxBytes', before: 0 } as const;
  const told = (has: object, status = 200) => {
    const came = accepted({ status, upstreamStatus: status });
    const { advice } = judgedAfter([came], {
      routes: [{ ...NOTIFY, redeliver: HOUR }],
      deferred: { ...DEFERRED, waiting: 0, ...has },
    });
    const all = advice.flatMap((one) => [one, ...one.follows]); // an app that fails fills it
    return all.flatMap(({ id, state, message }) =>
      id === 'store-full' ? [state, /nearly|again/.exec(message)?.[0]] : [],
    );
  };
  expect(told({ filling: 0.89 })).toEqual([]);
  expect(told({ filling: 0.9 })).toEqual(['warning', 'nearly']);
  expect(told({ filling: 0.9, turnedAway }, 500)).toEqual(['failed', 'nearly']);
  expect(told({ filling: 0.1, turnedAway }, 500)).toEqual(['failed', 'again']);
  // It goes before the note on what failed for another reason, and is over.
  const failing = { ...turnedAway, at: NOW - 120_000, kind: 'failing' };
  expect(told({ filling: 0.9, turnedAway: failing }, 500)).toEqual(['warning', 'nearly']);
  expect(told({ filling: 1, sends: false })).toEqual([]);
});

test('while nothing comes, no route becomes worse', () => {
  const good = times(2, accepted(), 0.5);
  const before = [accepted(), 1, fails, 0.5, ...times(75, accepted(), 0.5)];
  const came = [...before, ...times(8, ...good, fails, 0.5), 12, 'look'] as const;
  expect([headOf(judgedAfter(came))[0], headOf(judgedAfter([...came, 1000]))[0]]).toEqual(['warning', 'warning']);
});

test('what report mode lets pass is told also where deliveries elsewhere have stopped', () => {
  const unsigned = { ...bare, userAgent: 'x/1' } as const;
  const trial = { ...stranger, ...unsigned, route: '/trial', path: '/trial', status: 200, upstreamStatus: 200 };
  const suspects = times(4, refused({ ...unsigned, contentType: 'text/plain' }), 10);
  const reported = times(3, refused({ ...trial, decision: 'reported' }), 10);
  const { advice } = judgedAfter([...times(30, accepted(), 3600), 18_000, ...suspects, ...reported], {
    routes: [NOTIFY, { ...NOTIFY, path: '/trial', mode: 'report' }],
  });
  expect(advice.some(({ message }) => message.includes('report mode forwarded'))).toBe(true);
});

test('who signs with a secret outside its dates is named, whatever User-Agent it claims', () => {
  const of = hint('expired-secret', 'it was signed with old, which has expired', 'old');
  const probe = refused({ ...stranger, userAgent: PROBE_AGENT });
  expect(judgedAfter([accepted(), ...times(3, probe), accepted()]).advice[0]?.id).toBe('all-is-well');
  for (const userAgent of ['curl/8', PROBE_AGENT]) {
    const signs = refused({ ...stranger, userAgent, hint: of, reason: 'expired_secret' });
    const [first] = judgedAfter([accepted(), signs]).advice;
    expect(first).toMatchObject({ state: 'warning', id: 'expired-secret' });
    expect(first?.message).toContain('(the last from 192.0.2.44)');
  }
  const status = judgedAfter([refused({ ...stranger, hint: of, reason: 'expired_secret' })]);
  expect(secretVerdict({ ...CURRENT, id: 'old', state: 'expired' }, status)).toMatch(/^a client still signs with it/);
});

test('before the first acceptance 16 of a kind are remembered, on however many routes', () => {
  const paths = Array.from({ length: 40 }, (_, nth) => `/${nth}`);
  const unsigned = paths.map((path) => refused({ reason: 'missing_signature', signed: false, route: path, path }));
  expect(judgedAfter([tableOf(paths), ...unsigned, accepted({ route: '/1', path: '/1' })]).lost.refused).toBe(16);
});

test('what was refused of a sender that is not known yet counts as lost once it is, and 16 at most', () => {
  const client = '192.0.2.77';
  const came = (amount: number) => [accepted(), ...times(amount, refused({ client }), accepted())];
  const lost = (amount: number) => judgedAfter([...came(amount), accepted({ client })]).lost.refused;
  expect([lost(10), lost(40), judgedAfter(came(10)).lost.refused]).toEqual([10, 16, 0]);
  // Each once, though another new one comes; and of what only an address shows, none: a full door turns all away alike.
  const away = times(3, refused({ reason: 'malformed_signature', event: '', client }), { address: client });
  const next = [accepted({ client, connectionAddress: client }), accepted({ client: '192.0.2.78' })];
  expect(judgedAfter([accepted(), ...away, ...next]).lost).toMatchObject({ refused: 3, turnedAway: 0 });
  const late = [accepted(), ...times(3, refused({ client })), ...times(360, accepted(), 10), accepted({ client })];
  expect(judgedAfter(late).advice[0]).toMatchObject({ state: 'warning', id: 'deliveries-lost' });
  const fails = times(3, accepted({ status: 500, upstreamStatus: 500 }), 20);
  const beside = judgedAfter([accepted(), ...times(3, refused({ client })), 20, ...fails, accepted({ client })]);
  expect(beside.advice.map(({ id }) => id)).toEqual(['app-fails']);
  expect(beside.advice[0]?.follows[0]?.message).toContain(', the last one 20 s ago ');
  const [was, is] = [refused({ userAgent: 'Hooks/2' }), accepted({ userAgent: 'Hooks/2' })]; // from a known address
  expect(judgedAfter([accepted(), was, is]).lost.refused).toBe(1);
  const others = Array.from({ length: 16 }, (_, nth) => accepted({ client: `198.51.100.${nth}` }));
  const ofOne = [15, 16].map((amount) => judgedAfter([accepted(), ...others.slice(0, amount), refused()]).lost.refused);
  expect(ofOne).toEqual([1, 0]); // the last 16 senders are known
});
