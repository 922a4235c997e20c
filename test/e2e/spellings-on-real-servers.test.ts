// Real servers behind the proxy, each with handlers that no unsigned request may reach, and every known spelling of
// their paths. Each server is first tried without the proxy: a spelling that no server accepts proves nothing.
import { afterAll, beforeAll, describe, expect } from 'vitest';
import { SERVER_KINDS, type ServerKind } from '../servers/kinds.ts';
import type { Hit, RealServer } from '../servers/real-server.ts';
import { DETOURS, isForbidden, LEGITIMATE, type Shot, TABLES, type Table, type Unmatched } from '../servers/routes.ts';
import { type Bullet, bytesOf, fire, statusOf } from '../servers/volley.ts';
import { SECRET, sign } from '../support/deliveries/signer.ts';
import { exchange } from '../support/http/raw-client.ts';
import { values } from '../support/http/response-parser.ts';
import { test } from '../support/proxy/proxied.ts';
import type { RunningProxy } from '../support/proxy/proxy.ts';
import { shared } from '../support/proxy/shared.ts';
import { SPELLINGS } from '../testdata/spellings.ts';

const BODY = '{"event":"forged"}';
const METHODS = ['GET', 'POST'] as const;
/** `reject` lets less through than `verify`: test/fuzz/targets.fuzz.test.ts tries it with any routes. */
const MODES: readonly Unmatched[] = ['verify', 'forward'];
/** Milliseconds that a server may stay silent after an odd direct request; the proxy always responds. */
const PATIENCE = 1_000;
const DEADLINE = 5_000;

/**
 * An nginx prefix location matches names that only start with the route's. The docs say so; the proxy does not cover
 * it.
 */
const PREFIX = 'nginx, prefix location';
const NEIGHBOURS = /^\/notif(?:y|%79)[A-Za-z0-9_-]/;

const GO = "Go's net/http";

const line = `Entrupy-Signature: ${sign(SECRET, BODY)}`;

/** A GET and a POST of each, numbered so that a hit identifies its request. */
function bulletsOf(shots: readonly Shot[], signed: boolean): Bullet[] {
  const requests = shots.flatMap(({ target }) => METHODS.map((method) => ({ method, target })));
  return requests.map(({ method, target }, index) => ({
    method,
    target,
    lines: [`X-Case: ${index}`, ...(signed && method === 'POST' ? [line] : [])],
    body: method === 'POST' ? BODY : '',
  }));
}

const LOG = { requests: 'none' };
const urlOf = ({ port }: RealServer) => `http://127.0.0.1:${port}`;

const isSigned = (hit: Hit) => hit.signature === sign(SECRET, Buffer.from(hit.body, 'latin1'));
const delivery = (target: string): Bullet => ({ method: 'POST', target, lines: [line], body: BODY });
describe.each(SERVER_KINDS.map((kind) => ({ kind, name: kind.name })))('$name', ({ kind }) => {
  const missing = kind.missing();
  if (missing !== null && !mayBeMissing(kind)) {
    test('can run here', () => expect.fail(missing));
    return;
  }
  if (missing !== null) {
    test.skip(`left out: ${missing}`, () => {});
    return;
  }
  let server: RealServer;
  beforeAll(async () => {
    server = await kind.start();
  });
  afterAll(() => server?.stop());

  test('reads some of the spellings as the path itself when there is no proxy', async () => {
    const shots = SPELLINGS.map(({ target }) => ({ target, spelling: target }));
    const bullets = bulletsOf(shots, false);
    await fire(server.port, bullets, PATIENCE);
    const hits = await server.hits();
    const taken = new Set(hits.map((hit) => bullets[Number(hit.case)]?.target ?? ''));
    expect([...taken]).toEqual(expect.arrayContaining(['/notify', ...kind.reads]));
    // A spelling that a server reads as the path must not be listed in the data file as another path.
    const open = SPELLINGS.filter(({ treatment, target }) => treatment === 'open' && taken.has(target));
    expect(open.map(({ target }) => target).filter((target) => !isNeighbour(kind, target))).toEqual([]);
  });

  describe.each(TABLES.map((table) => ({ table, name: table.name })))('behind $name', ({ table }) => {
    test.for(MODES)('with unmatched: %s', async (unmatched, { start }) => {
      const proxy = await start({ upstream: { url: urlOf(server) }, routes: table.routes, unmatched, log: LOG });
      await fireAll({ kind, server, proxy, table, unmatched });
      await checkItWorks(server, proxy, { table, unmatched });
    });
  });

  describe('behind an open proxy', () => {
    const on = shared(async () => ({ url: urlOf(server), close: async () => {} }), {
      routes: [{ path: '/notify' }],
      unmatched: 'forward',
      log: LOG,
    });

    test('legitimate targets arrive as sent', async () => {
      for (const target of LEGITIMATE) {
        const bytes = bytesOf({ method: 'GET', target, lines: [], body: '' });
        const [direct, through] = [await exchange(server.port, bytes), await exchange(on.proxy, bytes)];
        expect(values(through.lines, 'x-target')).toEqual([target]);
        expect([through.status, through.body]).toEqual([direct.status, direct.body]);
      }
    });

    test('no header leads an open target to the protected handler', async () => {
      const bullets = DETOURS.map(({ target, line }, index) => ({
        method: 'POST',
        target,
        lines: [`X-Case: ${index}`, line],
        body: BODY,
      }));
      await fire(server.port, bullets, DEADLINE);
      const followed = new Set((await server.hits()).map((hit) => Number(hit.case)));
      for (const [index, { line, follower }] of DETOURS.entries()) {
        if (follower === kind.name) expect(followed, line).toContain(index);
      }
      await fire(on.proxy.port, bullets, DEADLINE);
      expect((await server.hits()).map((hit) => DETOURS[Number(hit.case)])).toEqual([]);
    });
  });
});

/** Go is large and often not installed; everything that CI installs must be there in CI. */
function mayBeMissing(kind: ServerKind): boolean {
  return process.env.CI === undefined || kind.name === GO;
}

function isNeighbour(kind: ServerKind, spelling: string): boolean {
  return kind.name === PREFIX && NEIGHBOURS.test(spelling);
}

interface Round {
  readonly kind: ServerKind;
  readonly server: RealServer;
  readonly proxy: RunningProxy;
  readonly table: Table;
  readonly unmatched: Unmatched;
}

async function fireAll({ kind, server, proxy, table, unmatched }: Round): Promise<void> {
  const bullets = bulletsOf(table.shots, table.signed);
  const answers = await fire(proxy.port, bullets, DEADLINE);
  const unanswered = bullets.filter((_, index) => statusOf(answers[index] ?? '') === 0);
  expect(unanswered.map(bytesOf)).toEqual([]);
  const forbidden = (await server.hits()).filter((hit) =>
    isForbidden(table, unmatched, { ...hit, isSigned: isSigned(hit) }),
  );
  const shotOf = (hit: Hit) => table.shots[Math.floor(Number(hit.case) / METHODS.length)];
  const got = forbidden.filter((hit) => !isNeighbour(kind, shotOf(hit)?.spelling ?? ''));
  expect(got.map((hit) => `${bullets[Number(hit.case)]?.method} ${shotOf(hit)?.target}`)).toEqual([]);
}

/** Guards against a false pass: a proxy that lets nothing through, or a server that reports no hit. */
async function checkItWorks(
  server: RealServer,
  proxy: RunningProxy,
  { table, unmatched }: { table: Table; unmatched: Unmatched },
): Promise<void> {
  for (const { path, action } of table.routes as readonly { path: string; action?: string }[]) {
    if (action !== undefined) continue;
    const [answer = ''] = await fire(proxy.port, [delivery(path.replace('*', 'notify'))], DEADLINE);
    expect(answer).toMatch(/^HTTP\/1\.[01] 200 [\s\S]*protected/);
    expect((await server.hits()).map(isSigned)).toEqual([true]);
  }
  const open = table.open ?? (unmatched === 'forward' ? '/shop/cart' : null);
  if (open === null) return;
  const [answer = ''] = await fire(proxy.port, [{ method: 'GET', target: open, lines: [], body: '' }], DEADLINE);
  expect(answer).toMatch(/^HTTP\/1\.[01] 200 [\s\S]*open/);
}
