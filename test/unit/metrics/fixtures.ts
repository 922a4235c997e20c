// Records, plans and snapshots that the tests of metrics, log and admin start from; each test changes its own part.

import { createSecretKey } from 'node:crypto';
import { noTraffic } from '../../../src/admin/route-traffic.ts';
import type { DeferredStatus, RouteStatus, SecretStatus, StatusSnapshot } from '../../../src/admin/status-snapshot.ts';
import type { RequestRecord } from '../../../src/core/request-record.ts';
import { Metrics, type SeriesPlan } from '../../../src/metrics/metrics.ts';
import { verify } from '../core/fixtures.ts';

export const NOW = Date.parse('2026-11-24T12:00:00.000Z');

export function accepted(changes: Partial<RequestRecord> = {}): RequestRecord {
  return {
    route: '/notify',
    method: 'POST',
    path: '/notify',
    status: 200,
    decision: 'accepted',
    reason: 'none',
    hint: null,
    rule: null,
    header: null,
    signed: true,
    secret: 'current',
    bodyBytes: 512,
    durationMs: 12.3456,
    verifyMs: 0.02,
    upstreamMs: 10,
    upstreamStatus: 200,
    interims: 0,
    upstreamFailure: null,
    upstreamError: null,
    bodySha256: null,
    client: '192.0.2.7',
    traceId: null,
    ...changes,
  };
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

type PlannedSecret = SeriesPlan['secrets'][number];

export function secret(id: string, changes: Partial<PlannedSecret> = {}): PlannedSecret {
  return { id, key: createSecretKey(Buffer.from(id)), notBefore: null, notAfter: null, ...changes };
}

export function metricsOf(changes: Partial<SeriesPlan> = {}, now = () => NOW): Metrics {
  const metrics = new Metrics(plan(changes), now);
  metrics.watch(GAUGES);
  return metrics;
}

const TOTAL = { deliveries: 11, bytes: 12, oldest: 13_000 };

export const GAUGES = {
  requests_in_flight: () => 3,
  connections: () => 4,
  buffered_bytes: () => 5,
  buffered_bytes_limit: () => 6,
  upstream_exposed: () => 1,
  once_entries: () => 7,
  once_store_failures_total: () => 8,
  log_lines_dropped_total: () => 9,
  deferred_store_failures_total: () => 10,
  deferred: () => ({ waiting: TOTAL, stopped: TOTAL, unverified: TOTAL }),
};

export function plan(changes: Partial<SeriesPlan> = {}): SeriesPlan {
  return {
    routes: [verify('/notify'), UNMATCHED],
    secrets: [secret('current')],
    certificates: { listen: null, upstream_client: null },
    configSha256: 'c0ffee',
    checkExposure: false,
    ...changes,
  };
}

export const NOTIFY: RouteStatus = {
  path: '/notify',
  action: 'verify',
  mode: 'enforce',
  reportUntil: null,
  methods: ['POST'],
  secretIds: ['current'],
  liveSecrets: 1,
  maxBody: 1 << 20,
  query: 'forward',
  once: null,
  redeliver: null,
  traffic: noTraffic(),
};

export const CURRENT: SecretStatus = {
  id: 'current',
  source: 'file /run/secrets/entrupy',
  state: 'live',
  problem: null,
  notBefore: null,
  notAfter: null,
  lastMatch: 0,
  changedAt: null,
  deferred: 0,
};

export const DEFERRED: DeferredStatus = {
  store: '/var/lib/entrupy-signature-proxy',
  problem: null,
  sends: true,
  waiting: 1,
  stopped: 0,
  unverified: 0,
  unread: 0,
  bytes: 4096,
  oldest: NOW - 60_000,
  deliveries: [
    {
      id: '0123456789abcdef-0123456789abcdef0123456789abcdef',
      state: 'waiting',
      at: NOW - 60_000,
      route: '/notify',
      attempts: 3,
      lastFailure: '503',
      nextTry: NOW + 8000,
    },
  ],
};

const HOUR: readonly number[] = new Array<number>(60).fill(0);

export const QUIET = {
  windowSeconds: 300,
  accepted: 0,
  rejected: 0,
  reported: 0,
  forwarded: 0,
  duplicate: 0,
  app2xx: 0,
  app3xx: 0,
  app4xx: 0,
  app5xx: 0,
  deferred: 0,
  upstreamFailures: 0,
  reasons: {},
  signedReasons: {},
  noise: 0,
  topReason: null,
  hour: {
    accepted: HOUR,
    rejected: HOUR,
    reported: HOUR,
    forwarded: HOUR,
    duplicate: HOUR,
    app2xx: HOUR,
    app3xx: HOUR,
    app4xx: HOUR,
    app5xx: HOUR,
    deferred: HOUR,
    upstreamFailures: HOUR,
  },
} as const;

export function snapshot(changes: Partial<StatusSnapshot> = {}): StatusSnapshot {
  return {
    version: '0.1.0',
    nodeVersion: 'v26.10.0',
    startedAt: NOW - 3_600_000,
    now: NOW,
    ready: true,
    causes: [],
    draining: false,
    listen: { host: '::', port: 8080, tls: false },
    upstream: { url: 'http://127.0.0.1:3000', reachable: true, error: null, exposed: false, exposure: 'off' },
    routes: [NOTIFY],
    secrets: [CURRENT],
    config: {
      file: '/etc/entrupy-signature-proxy/config.yaml',
      sha256: 'c0ffee'.repeat(10),
      warnings: [],
      awaitingRestart: [],
    },
    connections: { open: 3, limit: 1024 },
    certificates: [],
    log: { dropped: 0, lastDropped: null },
    lastReload: null,
    once: null,
    deferred: null,
    recent: QUIET,
    refusals: [],
    undelivered: [],
    docs: null,
    ...changes,
  };
}
