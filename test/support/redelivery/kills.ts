// Kills the proxy, the app or both at random moments while deliveries come in, are stored, leased, sent, kept, asked for,
// replaced, dropped, lost and removed; then lets everything end, and says what became of each delivery.
//
// A kill takes the counters with it, so each life is audited by names: what is gone from the store was taken by the app,
// dropped by a person, or has a line `lost`. Before each fifth kill the counters and gauges must add up, too.
import { randomBytes } from 'node:crypto';
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { isDirectory } from '../../../src/base/default-places.ts';
import { ignore } from '../../../src/base/errors.ts';
import { bodyTag } from '../../../src/core/request-record.ts';
import { openStore } from '../../../src/redelivery/stores/open-store.ts';
import { type DeferredStore, fileIn, pagesOf } from '../../../src/redelivery/stores/store.ts';
import { SECRET, sign } from '../deliveries/signer.ts';
import { exchange } from '../http/raw-client.ts';
import { freePort } from '../machine/free-port.ts';
import { type RunningProxy, startProxy } from '../proxy/proxy.ts';
import { seeded } from '../runner/seeded.ts';
import { digestOf, type Mood, recordingApp, tagOf } from '../upstream/recording-app.ts';

export interface Kills {
  readonly rounds: number;
  readonly seed: number;
  /** Settings of `redelivery`; the store has a directory of its own unless given. */
  readonly redelivery?: { readonly store?: string; readonly keep?: string; readonly maxBytes?: string };
  /** How the proxy ends; by SIGKILL unless given. */
  readonly end?: (proxy: RunningProxy) => unknown;
}

/** Settings of a store in which events are lost, for want of a decision and of room. */
export const TIGHT = { keep: '500ms', maxBytes: '512KiB' };
const [EACH_ROUND, ROUND_MS] = [40, 900];
const NAME = 'kills';
const ENDS = ['delivered', 'dropped', 'lost', 'replaced'];
/** Said where an equal fresh event, or a person who asked for it, came between the line of a loss and the removal. */
const NOT_LOST = 'a deferred delivery told as lost is not: it was just replaced, or asked for';

export async function killAtRandom({ rounds, seed, redelivery = {}, end = ({ signal }) => signal('SIGKILL') }: Kills) {
  const directory = await mkdtemp(join(tmpdir(), 'entrupy-kills-'));
  const place = redelivery.store ?? directory;
  const random = seeded(seed);
  const app = recordingApp({ port: await freePort(), recordFile: join(directory, 'arrivals'), after: 100 });
  const sent = new Map<string, ReturnType<typeof deliveryOf>>();
  const [promised, dropped, lost] = [new Set<string>(), new Set<string>(), new Map<string, unknown>()];
  const amiss: string[] = [];
  const counted: Record<string, number> = {};
  const start = () =>
    startProxy({
      config: {
        upstream: { url: app.url, retryConnectFor: '50ms', responseTimeout: '1s' },
        // So short that many expire, and are sent only because somebody asks.
        routes: [{ path: '/notify', redeliver: '2s' }],
        redelivery: { name: NAME, ...redelivery, store: place },
        log: { requests: 'none' },
      },
      secrets: { current: SECRET },
    });
  const taken = () => app.arrivals().filter(({ status }) => status === 200);

  function note(proxy: RunningProxy): void {
    for (const { msg, body_sha256: tag, why } of proxy.logs()) if (msg === 'lost') lost.set(String(tag), why);
  }

  async function live(round: number): Promise<void> {
    const closes = round % 5 === 4;
    const before = await tagsAt(place);
    const proxy = await start();
    if (closes) await become('failing', proxy);
    const fresh = Array.from({ length: closes ? EACH_ROUND / 2 : EACH_ROUND }, (_, at) =>
      deliveryOf(`r${round}-${at}`, random),
    );
    for (const delivery of fresh) sent.set(delivery.tag, delivery);
    const again = [...before].flatMap((tag) => sent.get(tag) ?? []).slice(0, 5);
    const answered = new Set<string>();
    const sending = [...fresh, ...again].map(async ({ tag, bytes }) => {
      await sleep(random() * ROUND_MS);
      const answer = await exchange(proxy.port, bytes).catch(() => null);
      if (answer?.status === 202) answered.add(tag);
    });
    const asking = !closes && random() < 0.7 ? setInterval(() => void ask(proxy), 40) : undefined;
    await sleep(random() * ROUND_MS);
    const victim = random();
    if (victim < 0.3) app.kill();
    if (victim <= 0.2 || closes) await Promise.all(sending);
    if (closes) await close(proxy, before.size);
    await (random() < 0.2 ? proxy.stop() : end(proxy)); // some end by SIGTERM
    clearInterval(asking);
    await Promise.all(sending);
    await proxy.stop();
    note(proxy);
    for (const tag of answered) promised.add(tag);
    const after = await tagsAt(place);
    const ended = new Set(taken().map(({ tag }) => tag)).union(dropped).union(lost);
    const gone = before.union(answered).difference(after).difference(ended);
    const unknown = after.union(lost).difference(new Set(sent.keys()));
    amiss.push(...[...gone, ...unknown].map((tag) => `round ${round}: ${sent.get(tag)?.id ?? tag}`));
  }

  /** Some expire and are kept; then a person drops some, and has the others sent: at both times the ledger closes. */
  async function close(proxy: RunningProxy, before: number): Promise<void> {
    const closes = async () => {
      const { stored, ended, there, untold, results } = await account(proxy);
      return before + stored === ended + there && untold === 0 && (results.expired ?? 0) > 0;
    };
    await eventually(proxy, closes);
    for (const tag of await dropSome(place).catch(() => [])) dropped.add(tag);
    await become('steady', proxy);
    await eventually(proxy, async () => (await closes()) && (await account(proxy)).there === 0);
    for (const [result, count] of Object.entries((await account(proxy)).results))
      counted[result] = (counted[result] ?? 0) + count;
    await become('flapping', proxy);
  }

  async function become(mood: Mood, proxy: RunningProxy): Promise<void> {
    await app.stop();
    await app.start(mood);
    await ask(proxy);
  }

  try {
    await app.start('flapping');
    for (let round = 0; round < rounds; round++) await live(round);
    const last = await start();
    await become('steady', last);
    const isDrained = async () => (await ask(last)) && (await visited(place, idsIn).catch(() => [''])).length === 0;
    await eventually(last, isDrained).finally(() => last.stop());
    note(last);
    const copies = Map.groupBy(taken(), ({ tag }) => tag);
    const remembered = new Set((await visited(place, (store) => store.losses())).map(({ id }) => bodyTag(id)));
    for (const tag of remembered.symmetricDifference(lost))
      if (remembered.has(tag) || !(copies.has(tag) || dropped.has(tag)))
        amiss.push(`${tag}: line or memory of its loss lacks`);
    return {
      /** Deliveries that got 202. */
      promised: promised.size,
      /** Of these, those that the app never took, and that no person dropped and no line names. */
      lost: [...promised].filter((tag) => !copies.has(tag) && !dropped.has(tag) && !lost.has(tag)),
      /** Why those were lost that a line names. */
      whys: [...new Set(lost.values())].sort(),
      /** Those of which the app took more than one copy. */
      twice: [...copies.values()].filter(({ length }) => length > 1).length,
      /** Arrivals whose target, lines or body differ from what was sent. */
      changed: app.arrivals().filter(({ tag, digest }) => sent.get(tag)?.digest !== digest).length,
      /** What a life lost without an end, or had from nowhere. */
      amiss,
      /** The results in the lives whose counters are known. */
      counted,
    };
  } finally {
    await app.stop();
    await rm(directory, { recursive: true, force: true });
  }
}

/** Some are small, some span several reads; targets and lines are of each delivery alone. */
function deliveryOf(id: string, random: () => number) {
  const filling = randomBytes(Math.floor(random() ** 4 * 200_000));
  const body = Buffer.concat([Buffer.from(`{"id":"${id}"}`), filling]);
  const target = `/notify?id=${id}&a=%20`;
  const lines = ['Host', 'hooks.example', 'X-Id', id, 'x-id', `caf\xe9 ${id}`, 'Entrupy-Signature', sign(SECRET, body)];
  const all = [...lines, 'Content-Length', `${body.length}`];
  const text = all.map((part, at) => (at % 2 === 0 ? `${part}: ` : `${part}\r\n`)).join('');
  const bytes = Buffer.concat([Buffer.from(`POST ${target} HTTP/1.1\r\n${text}\r\n`, 'latin1'), body]);
  return { id, bytes, tag: tagOf(body), digest: digestOf(target, all, body) };
}

const ask = (proxy: RunningProxy) => fetch(`${proxy.adminUrl}/-/redeliver`, { method: 'POST' }).catch(() => null);

// --- the ledger

async function visited<T>(store: string, visit: (store: DeferredStore) => Promise<T>): Promise<T> {
  const access = { name: NAME, passwordFile: null, readPassword: async () => '', maxBytes: 0, largestRecord: () => 0 };
  const visitor = await openStore({ store, ...access, as: 'visitor', onLoss: ignore, onProblem: ignore });
  return await visit(visitor).finally(() => visitor.close());
}

async function idsIn(store: DeferredStore): Promise<readonly string[]> {
  const ids: string[] = [];
  for await (const page of pagesOf(store)) ids.push(...page.map(({ id }) => id));
  return ids;
}

/** The tags of what is stored. Read beside no owner, SQLite would empty the log of a killed one, so a copy is read. */
async function tagsAt(place: string): Promise<ReadonlySet<string>> {
  const copy = await mkdtemp(join(tmpdir(), 'entrupy-copy-'));
  const [from, to] = [place, copy].map((store) => dirname(fileIn(store)));
  if (isDirectory(place)) await cp(from ?? '', to ?? '', { recursive: true }).catch(ignore); // nothing is stored yet
  const ids = await visited(isDirectory(place) ? copy : place, idsIn);
  await rm(copy, { recursive: true });
  return new Set(ids.map(bodyTag));
}

/** As a person does, unless somebody has leased them. Returns their tags. */
const dropSome = (place: string) =>
  visited(place, async (store) => {
    const ids = (await idsIn(store)).slice(0, 5);
    const changed = await store.change(ids.map((id) => ({ id, to: 'dropped' as const })));
    return ids.filter((_, at) => changed[at] === 'done').map(bodyTag);
  });

/** What the counters say of this life, and the gauges of now. */
async function account(proxy: RunningProxy) {
  const metrics = await proxy.metrics();
  const of = (name: string, labels: string) => metrics.get(`entrupy_proxy_${name}{${labels}}`) ?? 0;
  const result = (name: string) => of('redelivered_total', `route="/notify",result="${name}"`);
  const states = ['waiting', 'stopped', 'expired', 'unverified'];
  const counts = (message: string) => proxy.logs().map(({ msg, count = 1 }) => (msg === message ? Number(count) : 0));
  const told = (message: string) => counts(message).reduce((sum, count) => sum + count, 0);
  return {
    stored: of('deliveries_total', 'route="/notify",fate="deferred"'),
    ended: ENDS.reduce((sum, name) => sum + result(name), 0),
    there: states.reduce((sum, state) => sum + of('deferred_deliveries', `state="${state}"`), 0),
    untold: result('lost') - told('lost') + told(NOT_LOST),
    results: Object.fromEntries([...ENDS, 'expired'].map((name) => [name, result(name)])),
  };
}

async function eventually(proxy: RunningProxy, look: () => Promise<unknown>): Promise<void> {
  for (let looks = 0; !(await look()); looks++) {
    if (looks > 1200)
      throw new Error(`not within two minutes: ${JSON.stringify(await account(proxy))}\n${proxy.output()}`);
    await sleep(100);
  }
}
