// Routes and heads that the core tests start from; each test says what it changes.
import { createSecretKey } from 'node:crypto';
import type { Policy } from '../../../src/core/admission.ts';
import { Keyring, type Secret } from '../../../src/core/keyring.ts';
import { Head } from '../../../src/core/request-head.ts';
import { type Route, RouteTable, UNMATCHED } from '../../../src/core/routes.ts';

export const NOW = Date.parse('2026-11-24T12:00:00.000Z');

export function verify(path: string, changes: Partial<Route> = {}): Route {
  return {
    path,
    action: 'verify',
    methods: ['POST'],
    secrets: null,
    mode: 'enforce',
    reportUntil: null,
    maxBody: 1_048_576,
    query: 'forward',
    once: null,
    redeliver: null,
    upgrade: [],
    allowHeaders: [],
    responseTimeout: null,
    idleTimeout: null,
    ...changes,
  };
}

export function report(path: string, changes: Partial<Route> = {}): Route {
  return verify(path, { mode: 'report', ...changes });
}

export function forward(path: string, changes: Partial<Route> = {}): Route {
  return verify(path, { action: 'forward', methods: null, ...changes });
}

export function reject(path: string): Route {
  return verify(path, { action: 'reject', methods: null });
}

/** Texts that are written in one, with spaces between. */
export const split = (texts: string): string[] => texts.split(' ');

/** A table; unmatched targets are forwarded unless given. */
export function table(routes: readonly Route[], unmatched: Route['action'] = 'forward'): RouteTable {
  return new RouteTable(
    routes,
    verify(UNMATCHED, { action: unmatched, methods: unmatched === 'verify' ? ['POST'] : null }),
  );
}

/** A table of routes that verify, and so do unmatched targets unless given. */
export const tableOf = (paths: readonly string[], unmatched: Route['action'] = 'verify') =>
  table(
    paths.map((path) => verify(path)),
    unmatched,
  );

/** A policy with these routes and secrets; unmatched targets are refused. */
export const policyOf = (
  routes: readonly Route[],
  secrets: readonly Secret[],
  settings: Partial<Policy['settings']> = {},
): Policy => ({
  settings: {
    ...{ bodyTimeout: 1, connections: 1, responseTimeout: 1, idleTimeout: 1 },
    retryConnectFor: { plain: 1, deferrable: 1 },
    ...{ maxHeader: 16_384, forwardedHeaders: 'none' as const },
    ...settings,
  },
  routes: table(routes, 'reject'),
  keyring: new Keyring(secrets),
  trusts: () => false,
});

/** The `action path` that a path gets, which is all that most tests ask for. */
export function claimed(routes: readonly Route[], path: string, unmatched: Route['action'] = 'forward'): string {
  const route = table(routes, unmatched).routeFor(path, NOW);
  return route === null ? 'refused' : `${route.action} ${route.path}`;
}

/** An honest head, apart from the test's changes. `lines` are all of its lines, including `Host`. */
export function head(
  changes: { method?: string; target?: string; version?: string; lines?: readonly string[] } = {},
): Head {
  const {
    method = 'POST',
    target = '/notify',
    version = '1.1',
    lines = ['Host', 'hooks.example', 'Content-Length', '3'],
  } = changes;
  return new Head({ method, target, version }, lines);
}

export function secret(id: string, value: string, validity: { notBefore?: number; notAfter?: number } = {}): Secret {
  const { notBefore = null, notAfter = null } = validity;
  return { id, key: createSecretKey(Buffer.from(value, 'utf8')), notBefore, notAfter };
}
