// `node bench/moonshot/conformance.ts [undici|raw]`: plays the rows of the conformance tables against the prototype and counts how
// many come out as the product's do. It never decides which of two is right: it lists what differs.
import { createSecretKey } from 'node:crypto';
import { Keyring } from '../../src/core/keyring.ts';
import type { Route } from '../../src/core/routes.ts';
import { CASES, readResponses } from '../../test/conformance/rows.ts';
import { get, SECRET, VARIANTS, type Variant, type WireCase } from '../../test/conformance/wire-case.ts';
import { type LenientUpstream, startLenientUpstream } from '../../test/support/lenient-upstream.ts';
import { openClient, type RawClient } from '../../test/support/raw-client.ts';
import { sign } from '../../test/support/signer.ts';
import { forwarding, rejecting, verifying } from './routes.ts';
import { type Prototype, start } from './start.ts';

const SHORT = { maxHeader: 2048, headersTimeout: 500, bodyTimeout: 500 };

type Written = Partial<Route> & Pick<Route, 'path'>;
type Config = { readonly routes: readonly Written[]; readonly unmatched?: Route['action'] };

function routeOf(written: Written): Route {
  if (written.action === 'forward') return forwarding(written);
  return written.action === 'reject' ? rejecting(written) : verifying(written);
}

const way: Prototype['way'] = process.argv[2] === 'raw' ? 'raw' : 'undici';
let same = 0;
for (const variant of Object.keys(VARIANTS) as Variant[]) await play(variant);
console.log(`${way}: ${same} of ${CASES.length} rows as the product`);

async function play(variant: Variant): Promise<void> {
  const { routes, unmatched = 'verify' } = VARIANTS[variant] as Config;
  const key = createSecretKey(SECRET, 'utf8');
  const secrets = variant === 'unready' ? [] : [{ id: 'current', key, notBefore: null, notAfter: null }];
  const upstream = await startLenientUpstream();
  const prototype = await start({
    way,
    port: 0,
    upstream: upstream.url,
    routes: routes.map(routeOf),
    unmatched: routeOf({ path: 'unmatched', action: unmatched }),
    keyring: new Keyring(secrets),
    limits: variant === 'small' ? SHORT : {},
  });
  for (const row of CASES.filter(({ on }) => on === variant)) {
    const differences = await differencesOf(row, prototype.port, upstream).catch((error: Error) => [error.message]);
    if (differences.length === 0) same++;
    for (const difference of differences) console.log(`${variant}: ${row.name}: ${difference}`);
  }
  await prototype.close();
  if (upstream.leftovers().length > 0) console.log(`${variant}: bytes upstream that are no request`);
  if (variant !== 'report') checkSigned(upstream);
  await upstream.close();
}

/** The one thing that must hold whatever else differs. */
function checkSigned(upstream: LenientUpstream): void {
  for (const { target, lines, body } of upstream.seen) {
    if (target !== '/notify') continue;
    const expected = `entrupy-signature: ${sign(SECRET, body)}`;
    const found = lines.filter((line) => line.toLowerCase().startsWith('entrupy-signature'));
    if (found.length !== 1 || normal(found[0] ?? '') !== expected) throw new Error('an unsigned body arrived upstream');
  }
}

async function differencesOf(row: WireCase, port: number, upstream: LenientUpstream): Promise<string[]> {
  const before = upstream.seen.length;
  const client = await openClient({ port });
  try {
    await client.send(row.send);
    const responses = await readResponses(client, row);
    return [
      ...differs(
        'status',
        responses.map(({ status }) => status),
        row.status,
      ),
      ...differs('interim', responses[0]?.informational.map(({ status }) => status) ?? [], row.informational ?? []),
      ...(await atTheEnd(client, row)),
      ...differs('upstream', upstream.list().slice(before), row.upstream),
      ...(row.lines === undefined
        ? []
        : differs('lines', sorted(upstream.seen[before]?.lines ?? []), sorted(row.lines))),
    ];
  } finally {
    client.destroy();
  }
}

/** As the suite: one more request, answered by 404 where the connection may go on, and by nothing where it must close. */
async function atTheEnd(client: RawClient, row: WireCase): Promise<string[]> {
  await client.send(get('/gone', ['Connection: close']));
  const found: string[] = [];
  if (row.closes === true) client.end();
  else {
    const last = await client.responseOrClose();
    if (last === null ? row.status.every((status) => status === 200) : last.status !== 404)
      found.push(`then ${last?.status ?? 'the end'}, not 404`);
  }
  const rest = (await client.rest()).toString('latin1');
  return rest === '' ? found : [...found, `then ${JSON.stringify(rest.slice(0, 40))}, not the end`];
}

/** Where Host and Content-Length stand is the client library's; whether `raw` keeps them in their place is for its unit test. */
function sorted(lines: readonly string[]): string[] {
  return lines
    .filter((line) => !line.startsWith('connection:'))
    .map(normal)
    .sort();
}

function normal(line: string): string {
  return line.replace(
    /^(host|content-length|entrupy-signature):[ \t]*/i,
    (_, name: string) => `${name.toLowerCase()}: `,
  );
}

function differs(what: string, found: unknown, expected: unknown): string[] {
  const [a, b] = [JSON.stringify(found), JSON.stringify(expected)];
  return a === b ? [] : [`${what} ${a}, not ${b}`];
}
