// A proxy under a flood, as it ships: the build, with the image's flags and the byte budget and heap of a container of
// 128 MiB. Honest clients and probes run throughout; a test checks how they and the memory fared.
import { expect, onTestFinished } from 'vitest';
import { honestFor, percentile, successRate, type Tally } from '../../load/honest.ts';
import { probeFor } from '../../load/probes.ts';
import { sign } from '../deliveries/signer.ts';
import { testDirectory } from '../machine/files.ts';
import { type MemoryPeak, watchMemory } from '../machine/memory.ts';
import { IMAGE_ENV, IMAGE_FLAGS } from '../proxy/image-env.ts';
import { builtProgram } from '../proxy/program.ts';
import { type RunningProxy, startProxy } from '../proxy/proxy.ts';
import { loopbackIdentity, type Pair } from '../tls/certificates.ts';
import { startStreamingUpstream } from '../upstream/streams.ts';
import { type Flood, type FloodReport, startFlood } from './flood.ts';

const SECRET = 'flooded-proxy-secret-0123456789abcdef';
const MIB = 2 ** 20;
/** Half of 128 MiB: the result of `--max-old-space-size-percentage` in the chart's container. */
const HEAP_MIB = 64;
const BUDGET = '32MiB';
/** The rest of a container's 128 MiB is for the program's files and the kernel's buffers. */
export const MOST_ANONYMOUS_MIB = 110;
const FLOOD_MS = 7_000;
const TIMEOUT_MS = 10_000;
const BODY = JSON.stringify({ event: 'honest', filler: 'x'.repeat(1000) });

/** A well-formed signature that matches no body. */
export const WRONG_SIGNATURE = sign(SECRET, 'something else');

export interface Outcome {
  readonly state: 'alive' | 'hangs' | 'ended';
  readonly memory: MemoryPeak;
  /** Deliveries on kept connections and on new ones. */
  readonly kept: Tally;
  readonly fresh: Tally;
  readonly probes: Tally;
  readonly attackers: FloodReport;
}

/** Ends with the test. `/notify` is verified, `/open/*` is forwarded to an upstream as in streams.ts. */
export async function startFloodedProxy(
  options: { readonly tls?: Pair; readonly connections?: number } = {},
): Promise<RunningProxy> {
  const { tls, connections } = options;
  const upstream = await startStreamingUpstream();
  onTestFinished(() => upstream.close());
  const proxy = await startProxy({
    program: builtProgram(),
    flags: [...IMAGE_FLAGS, `--max-old-space-size=${HEAP_MIB}`],
    env: IMAGE_ENV,
    config: {
      listen: { ...(tls !== undefined && { tls }) },
      upstream: { url: upstream.url },
      routes: [{ path: '/notify' }, { path: '/open/*', action: 'forward' }],
      limits: { bufferedBytes: BUDGET, ...(connections !== undefined && { connections }) },
    },
    secrets: { current: SECRET },
  });
  onTestFinished(async () => void (await proxy.stop()));
  return proxy;
}

/** A certificate for 127.0.0.1; its files are removed with the test. */
export const loopbackCertificate = async (): Promise<Pair> => loopbackIdentity(await testDirectory()).pair;

/** Floods it for seven seconds and prints the results. `tls`: how the honest clients connect. */
export async function flooded(
  proxy: RunningProxy,
  flood: Flood,
  honest: { readonly tls?: true } = {},
): Promise<Outcome> {
  const memory = watchMemory(proxy.pid);
  const attackers = await startFlood(flood);
  const signature = sign(SECRET, BODY);
  const clients = { port: proxy.port, clients: 3, pause: 100, body: BODY, signature, timeout: TIMEOUT_MS, ...honest };
  const [kept, fresh, probes] = await Promise.all([
    honestFor(FLOOD_MS, clients),
    honestFor(FLOOD_MS, { ...clients, fresh: true }),
    probeFor(FLOOD_MS, { adminPort: proxy.adminPort, pause: 200, timeout: TIMEOUT_MS }),
  ]);
  const peak = memory.stop();
  const report = await attackers.stop();
  const outcome = { state: await stateOf(proxy), memory: peak, kept, fresh, probes, attackers: report };
  show(outcome);
  if (outcome.state !== 'alive') console.log(proxy.output().slice(-1000));
  return outcome;
}

/** Called once the flood is over: a process that died a moment ago does not respond. */
async function stateOf({ adminUrl }: RunningProxy): Promise<Outcome['state']> {
  const asking = fetch(`${adminUrl}/livez`, { signal: AbortSignal.timeout(TIMEOUT_MS) });
  return asking.then(
    ({ ok }) => (ok ? 'alive' : 'hangs'),
    (error: Error) => (error.name === 'TimeoutError' ? 'hangs' : 'ended'),
  );
}

function show({ state, memory, attackers, ...tallies }: Outcome): void {
  const mib = (bytes: number) => `${Math.round(bytes / MIB)} MiB`;
  console.log(
    [
      `${state}, ${mib(memory.anonymous)} anonymous at most, ${mib(memory.socketBuffers)} in socket buffers`,
      `attackers: ${attackers.opened} opened, ${attackers.ended} ended, ${mib(attackers.bytesSent)} sent, first answers ${JSON.stringify(attackers.answers)}`,
      ...Object.entries(tallies).map(([who, tally]) => `${who}: ${described(tally)}`),
    ].join('\n'),
  );
}

function described({ times, failures }: Tally): string {
  const share = (successRate({ times, failures }) * 100).toFixed(1);
  const [p50, p99, max] = [0.5, 0.99, 1].map((part) => percentile(times, part).toFixed(0));
  const failed = [...failures].map(([why, count]) => ` failed: ${why} × ${count}`).join('');
  return `${times.length} answered, ${share} % of all; p50 ${p50} ms, p99 ${p99} ms, max ${max} ms${failed}`;
}

/**
 * The proxy is alive, every probe was answered, and so was at least this share of the honest deliveries of each kind:
 * all of them unless given. With ever new connections, an idle one can be closed at the moment in which its client sends:
 * `kept` may be less.
 */
export function expectUnhurt(outcome: Outcome, shares: { readonly kept?: number; readonly fresh?: number } = {}): void {
  expect.soft(outcome.state, 'the proxy').toBe('alive');
  expect.soft(outcome.probes.times.length, 'probes answered').toBeGreaterThan(0);
  expect.soft([...outcome.probes.failures], 'probes that failed').toEqual([]);
  for (const who of ['kept', 'fresh'] as const) {
    const tally = outcome[who];
    expect.soft(tally.times.length, `deliveries answered, ${who}`).toBeGreaterThan(0);
    expect
      .soft(successRate(tally), `share answered, ${who}: ${described(tally)}`)
      .toBeGreaterThanOrEqual(shares[who] ?? 1);
  }
}

export function expectWithinMemory({ memory }: Outcome): void {
  expect.soft(memory.anonymous / MIB, 'MiB of anonymous memory').toBeLessThanOrEqual(MOST_ANONYMOUS_MIB);
}

/** The flood took place: each of its connections was opened. */
export function expectFlooded({ attackers }: Outcome, { connections }: Flood): void {
  expect.soft(attackers.opened, 'connections of the flood').toBeGreaterThanOrEqual(connections);
}
