// Records, plans and snapshots that the tests of metrics, log and admin start from; each test changes its own part.
import { createSecretKey } from 'node:crypto';
import { type Fate, fateOf } from '../../src/core/fate-by-status.ts';
import type { Hint } from '../../src/core/hint.ts';
import type { DeliveryRecord, RequestRecord } from '../../src/core/request-record.ts';
import type { DeferredFacts, Facts, RouteFacts, SecretFacts } from '../../src/facts.ts';
import { Health } from '../../src/health/health.ts';
import { type Readings, readingsOf } from '../../src/metrics/readings.ts';
import { Metrics, type SeriesPlan, scrapeOf } from '../../src/metrics/recording.ts';
import type { SecretMaterial } from '../../src/secrets/sources.ts';
import { verify } from './core/fixtures.ts';

export const NOW = Date.parse('2026-11-24T12:00:00.000Z');

export const hint = (diagnosis: Hint['diagnosis'], text: string, secret?: string): Hint =>
  secret === undefined ? { diagnosis, text } : { diagnosis, text, secret };

/** Each record is another event's. */
let events = 0;

/** A delivery, unless the changes say otherwise; its fate follows from them. */
export function accepted(changes: Partial<RequestRecord> = {}): RequestRecord {
  const record: RequestRecord = {
    route: '/notify',
    method: 'POST',
    path: '/notify',
    status: 200,
    decision: 'accepted',
    reason: 'none',
    hint: null,
    rule: null,
    header: null,
    fate: 'taken',
    signed: true,
    event: `SHA256:${++events}`,
    secret: 'current',
    bodyBytes: 512,
    startedAt: 0,
    durationMs: 12.3456,
    departedMs: -1,
    verifyMs: 0.02,
    upstreamMs: 10,
    upstreamStatus: 200,
    interims: 0,
    upstreamFailure: null,
    upstreamError: null,
    bodySha256: null,
    client: '192.0.2.7',
    connectionAddress: '192.0.2.7',
    userAgent: 'Entrupy/0',
    contentType: 'application/json',
    renamedHeader: null,
    traceId: null,
    ...changes,
  };
  return { ...record, fate: changes.fate ?? fateIn(record) };
}

function fateIn({ secret, decision, reason, upstreamFailure, upstreamStatus: status }: RequestRecord): Fate | 'none' {
  if (secret === null || decision === 'probe' || reason === 'expired_secret') return 'none';
  if (decision === 'duplicate' || decision === 'deferred') return decision;
  const own = reason === 'overloaded' ? 'client' : null;
  return fateOf({ how: 'not stored', failed: upstreamFailure === null ? own : 'upstream', status });
}

interface Told {
  record(record: RequestRecord): void;
  deliver(record: DeliveryRecord): void;
}

/** Whatever settles again is another event. */
const settled = new Set<string>();

/** The fate of a delivery is known; then the request ends. It came now, unless the record says when. */
export function settle(told: Told, given: RequestRecord): void {
  const event = settled.has(given.event) ? `SHA256:${++events}` : given.event;
  if (given.event.includes(':')) settled.add(event);
  const record = { ...given, event, startedAt: given.startedAt || performance.now() };
  const { fate } = record;
  if (fate !== 'none' && fate !== 'pending') told.deliver({ ...record, fate });
  told.record(record);
}

export function refused(changes: Partial<RequestRecord> = {}): RequestRecord {
  return accepted({
    status: 401,
    decision: 'rejected',
    reason: 'signature_mismatch',
    secret: null,
    upstreamMs: -1,
    upstreamStatus: 0,
    ...changes,
  });
}

export { verify as route };
export const UNMATCHED = verify('unmatched');

export const keyOf = (value: string) => createSecretKey(Buffer.from(value));

const ALWAYS = { notBefore: null, notAfter: null, overlap: null, adoptedAt: null, problem: null, sameAs: null };

export function secret(id: string, changes: Partial<SecretMaterial> = {}): SecretMaterial {
  return { kind: 'secret', source: '', warnings: [], ...ALWAYS, id, key: keyOf(id), ...changes };
}

export function metricsOf(changes: Partial<SeriesPlan> = {}, others: Partial<Readings> = {}) {
  const metrics = new Metrics(plan(changes));
  const live = {
    services: { ...PARTS, metrics },
    ruleset: RULESET,
    lastReload: null,
    lastSuccess: NOW,
  } as unknown as Parameters<typeof readingsOf>[0];
  return Object.assign(metrics, { expose: scrapeOf(metrics, { ...readingsOf(live), ...others }) });
}

const PARTS = {
  lastMatch: () => 15,
  health: { advice: () => [{ id: 'app-down', state: 'failed', route: null }] },
  listener: { inFlight: 3, connections: 4 },
  budget: { used: 5, limit: 6 },
  exposure: { state: 'exposed' },
  once: () => ({ claims: { entries: () => 7, failures: 8 } }),
  redelivery: {
    ...{ isShown: true, isCounted: true },
    storeState: { failures: 10, total: () => ({ deliveries: 11, bytes: 12, oldest: 13_000 }) },
  },
  output: { dropped: 9 },
};

const RULESET = {
  certificates: [{ certificate: 'listen', notAfter: 14_000 }],
  loaded: { sha256: 'c0ffee', config: { upstream: { checkExposure: true }, routes: [verify('/notify', { once: 1 })] } },
};

export function plan(changes: Partial<SeriesPlan> = {}): SeriesPlan {
  return { routes: [verify('/notify'), UNMATCHED], secrets: [secret('current')], ...changes };
}

export const NOTIFY: RouteFacts = {
  path: '/notify',
  action: 'verify',
  mode: 'enforce',
  reportUntil: null,
  methods: ['POST'],
  secretIds: ['current'],
  unknownIds: [],
  liveSecrets: 1,
  provenSecrets: 1,
  maxBody: 1 << 20,
  query: 'forward',
  once: null,
  redeliver: null,
};

export const CURRENT: SecretFacts = {
  id: 'current',
  source: 'file /run/secrets/entrupy',
  state: 'live',
  problem: null,
  note: null,
  sameAs: null,
  notBefore: null,
  notAfter: null,
  lastMatch: NOW / 1000 - 60,
  changedAt: null,
  deferred: 0,
};

export const DEFERRED: DeferredFacts = {
  store: '/var/lib/entrupy-signature-proxy',
  state: 'works',
  problem: null,
  turnedAway: null,
  crowded: null,
  lastSeen: null,
  firstEnd: null,
  firstUnverified: null,
  sends: true,
  waiting: 1,
  stopped: 0,
  expired: 0,
  unverified: 0,
  waits: [{ route: '/notify', deliveries: 1, end: null }],
  whys: [],
  routes: ['/notify'],
  bytes: 4096,
  oldest: NOW - 60_000,
  deliveries: [
    {
      id: '0123456789abcdef-0123456789abcdef0123456789abcdef',
      state: 'waiting',
      at: NOW - 60_000,
      route: '/notify',
      attempts: 3,
      passed: 0,
      lastFailure: '503',
      nextTry: NOW + 8000,
      keptUntil: null,
      sending: false,
    },
  ],
  losses: [],
  lostLately: 0,
  aside: [],
  evicts: null,
  filling: 0.5,
};

export const ONCE = {
  ...{ store: 'redis', isUnnamed: false, entries: 0, isKnown: true, problem: null, evicts: null, unclaimed: null },
  onStoreFailure: 'forward',
} as const;

export const CONFIG = {
  file: '/etc/entrupy-signature-proxy/config.yaml',
  sha256: 'c0ffee'.repeat(10),
  since: NOW - 3_600_000,
  warnings: [],
  awaitingRestart: [],
};

type Given = Partial<{
  readonly [K in keyof Facts]: Facts[K] extends readonly (infer One)[] ? readonly One[] : Facts[K];
}>;

export function factsOf(changes: Given = {}): Facts {
  return {
    version: '0.1.0',
    nodeVersion: 'v26.10.0',
    startedAt: NOW - 3_600_000,
    now: NOW,
    ready: true,
    causes: [],
    draining: false,
    upstream: {
      url: 'http://127.0.0.1:3000',
      reachable: true,
      error: null,
      certificate: null,
      exposed: false,
      exposure: 'off',
    },
    routes: [NOTIFY],
    secrets: [CURRENT],
    config: CONFIG,
    connections: { open: 3, limit: 1024, most: null },
    unanswered: { amount: 0, longestMs: 0 },
    descriptors: { open: 30, limit: 1024 },
    certificates: [],
    log: { dropped: 0, lastDropped: null },
    lastReload: null,
    reloads: [],
    once: null,
    deferred: null,
    docs: null,
    ...changes,
  } as Facts;
}

/** The judgement of these facts, and of what `came`. */
export function judged(facts: Given = {}, came: (health: Health) => void = () => {}) {
  const health = new Health(() => 30_000);
  came(health);
  return health.judge(factsOf(facts));
}
