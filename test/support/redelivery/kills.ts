// Kills the proxy, the app or both at random moments while deliveries come in, are stored, claimed, sent and removed; then
// lets everything end, and says what became of each delivery.
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { SECRET, sign } from '../deliveries/signer.ts';
import { exchange } from '../http/raw-client.ts';
import { freePort } from '../machine/free-port.ts';
import { type RunningProxy, startProxy } from '../proxy/proxy.ts';
import { seeded } from '../runner/seeded.ts';
import { digestOf, type RecordingApp, recordingApp } from '../upstream/recording-app.ts';

export interface Kills {
  readonly rounds: number;
  readonly seed: number;
  /** The store; its own directory unless given. */
  readonly redelivery?: object;
  /** How the proxy ends; by SIGKILL unless given. */
  readonly end?: (proxy: RunningProxy) => Promise<void>;
}

const EACH_ROUND = 40;
const ROUND_MS = 900;

export async function killAtRandom({ rounds, seed, redelivery, end = kill }: Kills) {
  const directory = await mkdtemp(join(tmpdir(), 'entrupy-kills-'));
  const random = seeded(seed);
  const app = recordingApp({ port: await freePort(), recordFile: join(directory, 'arrivals'), after: 100 });
  const digests = new Map<string, string>();
  const statuses = new Map<string, number>();
  const start = () =>
    startProxy({
      config: {
        upstream: { url: app.url, retryConnectFor: '50ms', responseTimeout: '1s' },
        // So short that many expire, and are sent only because somebody asks.
        routes: [{ path: '/notify', redeliver: '3s' }],
        redelivery: redelivery ?? { store: directory },
        log: { requests: 'none' },
      },
      secrets: { current: SECRET },
    });
  try {
    await app.start('flapping');
    for (let round = 0; round < rounds; round++) {
      const proxy = await start();
      const ids = Array.from({ length: EACH_ROUND }, (_, at) => `r${round}-${at}`);
      const sending = ids.map(async (id) => {
        await sleep(random() * ROUND_MS);
        const { bytes, digest } = deliveryOf(id, random);
        digests.set(id, digest);
        statuses.set(id, await statusOf(proxy, bytes));
      });
      const asking = askOften(proxy);
      await sleep(random() * ROUND_MS);
      const victim = random();
      if (victim < 0.3) app.kill();
      if (victim <= 0.2) await Promise.all(sending);
      await end(proxy);
      await Promise.all(sending);
      asking.stop();
      await proxy.stop();
    }
    await app.stop();
    await app.start('steady');
    const last = await start();
    try {
      await drained(last);
    } finally {
      await last.stop();
    }
    return fatesOf(digests, statuses, app.arrivals());
  } finally {
    await app.stop();
    await rm(directory, { recursive: true, force: true });
  }
}

async function kill(proxy: RunningProxy): Promise<void> {
  proxy.signal('SIGKILL');
  await proxy.exited;
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
  return { bytes, digest: digestOf(target, all, body) };
}

/** 0 if no answer came. */
const statusOf = ({ port }: RunningProxy, bytes: Buffer) =>
  exchange(port, bytes).then(
    ({ status }) => status,
    () => 0,
  );

const ask = (proxy: RunningProxy) => fetch(`${proxy.adminUrl}/-/redeliver`, { method: 'POST' }).catch(() => null);

/** So that what was just stored is claimed and sent before the kill. */
function askOften(proxy: RunningProxy) {
  const timer = setInterval(() => void ask(proxy), 40);
  return { stop: () => clearInterval(timer) };
}

async function drained(proxy: RunningProxy): Promise<void> {
  for (let quiet = 0, looks = 0; quiet < 3; looks++) {
    if (looks > 600) throw new Error(`still deferred after a minute:\n${proxy.output()}`);
    await ask(proxy);
    await sleep(100);
    const metrics = await proxy.metrics();
    const states = ['waiting', 'stopped', 'expired', 'unverified'];
    const all = states.map((state) => metrics.get(`entrupy_proxy_deferred_deliveries{state="${state}"}`) ?? 0);
    // The first listing takes a moment.
    quiet = looks > 20 && all.every((count) => count === 0) ? quiet + 1 : 0;
  }
}

function fatesOf(
  digests: ReadonlyMap<string, string>,
  statuses: ReadonlyMap<string, number>,
  arrivals: ReturnType<RecordingApp['arrivals']>,
) {
  const taken = Map.groupBy(
    arrivals.filter(({ status }) => status === 200),
    ({ id }) => id,
  );
  const answered = [...statuses].filter(([, status]) => status > 0);
  const promised = answered.filter(([, status]) => status === 202).map(([id]) => id);
  return {
    /** Deliveries that got an answer. */
    answered: answered.length,
    /** Those that got 202. */
    promised: promised.length,
    /** Of these, those that the app never took. */
    lost: promised.filter((id) => !taken.has(id)),
    /** Those of which the app took more than one copy. */
    twice: [...taken.values()].filter((copies) => copies.length > 1).length,
    /** Arrivals whose target, lines or body differ from what was sent. */
    changed: arrivals.filter(({ id, digest }) => digests.get(id) !== digest).length,
  };
}
