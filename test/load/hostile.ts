// The hostile load: a proxy with its default limits under every attack of attacks.ts at once, while 50 honest clients
// deliver. Prints the results and exits with 1 when one honest request fails or memory exceeds its bound.
// HOSTILE_SECONDS is the length of the hostile run, 20 unless given. HOSTILE_ONLY=text runs only the attacks with this
// text in their names.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { sign } from '../support/deliveries/signer.ts';
import { IMAGE_ENV, IMAGE_FLAGS } from '../support/proxy/image-env.ts';
import { startProxy } from '../support/proxy/proxy.ts';
import { startStreamingUpstream } from '../support/upstream/streams.ts';
import { honestFor, percentile, successRate, type Tally } from './honest.ts';

const SECRET = 'hostile-load-secret-0123456789abcdef';
const CALM_MS = 5_000;
const HOSTILE_MS = Number(process.env.HOSTILE_SECONDS ?? 20) * 1000;
const MIB = 1024 * 1024;
/** With the default limits in every case. */
const MOST_MEMORY = 150 * MIB;
/** The built program: run from source it takes 40 MiB more. */
const PROGRAM = fileURLToPath(new URL('../../dist/main.js', import.meta.url));
const ATTACKS = fileURLToPath(new URL('attacks.ts', import.meta.url));

interface Attackers {
  /** Stops them; returns the responses that they got. */
  stop(): Promise<Record<string, number>>;
}

function startAttackers(port: number): Attackers {
  const child = spawn(process.execPath, [ATTACKS, String(port), sign(SECRET, 'something else')], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let text = '';
  child.stdout.on('data', (piece) => {
    text += piece;
  });
  const closed = new Promise<void>((resolve) => child.once('close', () => resolve()));
  return {
    stop: async () => {
      child.kill('SIGTERM');
      await closed;
      return JSON.parse(text) as Record<string, number>;
    },
  };
}

function show(title: string, tally: Tally): void {
  const [p50, p99] = [percentile(tally.times, 0.5), percentile(tally.times, 0.99)].map((ms) => ms.toFixed(1));
  const share = (successRate(tally) * 100).toFixed(3);
  console.log(`${title}: ${tally.times.length} answered, ${share} % of all; p50 ${p50} ms, p99 ${p99} ms`);
  for (const [why, count] of tally.failures) console.log(`  failed: ${why} × ${count}`);
}

async function main(): Promise<number> {
  if (!existsSync(PROGRAM)) throw new Error('there is no dist/main.js: npm run build first');
  const upstream = await startStreamingUpstream();
  const proxy = await startProxy({
    program: PROGRAM,
    flags: IMAGE_FLAGS,
    env: IMAGE_ENV,
    config: {
      upstream: { url: upstream.url },
      routes: [{ path: '/notify' }, { path: '/open/*', action: 'forward' }],
    },
    secrets: { current: SECRET },
  });
  const body = JSON.stringify({ event: 'load', filler: 'x'.repeat(1000) });
  const honest = { port: proxy.port, clients: 50, pause: 100, body, signature: sign(SECRET, body) };
  try {
    const calm = await honestFor(CALM_MS, honest);
    const calmMemory = await proxy.memory();
    const attackers = startAttackers(proxy.port);
    const hostile = await honestFor(HOSTILE_MS, honest);
    const metrics = await proxy.metrics();
    const answers = await attackers.stop();
    const { peak } = await proxy.memory();
    show('calm', calm);
    show('hostile', hostile);
    console.log(`connections at the end of the attack: ${metrics.get('entrupy_proxy_connections')}`);
    console.log(`memory: ${(calmMemory.rss / MIB).toFixed(0)} MiB calm, ${(peak / MIB).toFixed(0)} MiB at most`);
    console.log('what the attackers were answered:');
    for (const [answer, count] of Object.entries(answers)) console.log(`  ${answer} × ${count}`);
    const good =
      successRate(calm) === 1 && successRate(hostile) === 1 && hostile.times.length > 0 && peak < MOST_MEMORY;
    console.log(good ? 'good' : 'BAD: an honest request failed, or memory passed its bound');
    return good ? 0 : 1;
  } finally {
    await proxy.stop();
    await upstream.close();
  }
}

process.exitCode = await main();
