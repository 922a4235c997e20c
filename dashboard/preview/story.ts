// The story of the picture, two and a half minutes that a real Prometheus scrapes: deliveries, a rotation from one secret to
// the next, an attack, and an app that goes down and is down still when the picture is taken. It stops only the processes
// that it started.
import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as after } from 'node:timers/promises';
import { sign } from '../../test/support/deliveries/signer.ts';
import { ROUTES, startTraffic } from '../../test/support/load/traffic.ts';
import { startPrometheus } from '../../test/support/metrics/prometheus.ts';
import { type RunningProxy, startProxy } from '../../test/support/proxy/proxy.ts';
import { startUpstream } from '../../test/support/upstream/upstream.ts';

const RULES = new URL('../../helm/files/rules.yaml', import.meta.url);
const OLD = { id: '2026-11', value: 'the secret of November, 32 bytes or more' };
const NEW = { id: '2026-12', value: 'the secret of December, 32 bytes or more' };
/** Traffic starts earlier than the picture, so that rates exist from its first second on. */
const WARM_UP_MS = 20_000;
const MONTH_MS = 30 * 86_400_000;

export interface Told {
  readonly prometheusUrl: string;
  /** Epoch seconds. */
  readonly from: number;
  readonly to: number;
}

/** Plays the story, then calls `look` while everything still runs. `say` gets a sentence at each step. */
export async function tellStory(say: (sentence: string) => void, look: (told: Told) => Promise<void>): Promise<void> {
  const secrets = await mkdtemp(join(tmpdir(), 'preview-'));
  await using cleanup = new AsyncDisposableStack();
  cleanup.defer(() => rm(secrets, { recursive: true, force: true }));
  await writeFile(join(secrets, OLD.id), OLD.value);

  const upstream = await startUpstream({ handle: answerInTime });
  cleanup.defer(() => upstream.close());
  const options = {
    config: configOf(upstream.url, secrets),
    env: { POD_IP: '127.0.0.2', SPARE: 'a spare secret, 32 bytes or more!' },
  };
  const proxies: RunningProxy[] = [];
  for (let nth = 0; nth < 2; nth++) {
    const proxy = await startProxy(options);
    proxies.push(proxy);
    cleanup.defer(async () => void (await proxy.stop()));
  }
  const targets = proxies.map(({ adminPort }, nth) => ({
    port: adminPort,
    labels: { namespace: 'shop', pod: `orders-${nth}` },
  }));
  const prometheus = await startPrometheus({ job: 'orders', targets, rules: readFileSync(RULES, 'utf8') });
  cleanup.defer(() => prometheus.stop());
  const urls = proxies.map(({ url }) => url);
  const senders = [0, 1].map(() => startTraffic(urls, OLD.value));
  for (const sender of senders) cleanup.defer(() => sender.stop());

  await after(WARM_UP_MS + untilSecond(28));
  const from = Date.now() / 1000;
  say('deliveries, signed with the old secret');
  await after(25_000);
  say('a rotation: the new secret is live beside the old one');
  await writeFile(join(secrets, NEW.id), NEW.value);
  for (const sender of senders) {
    await after(12_000);
    say('a sender goes over to the new secret');
    sender.secret = NEW.value;
  }
  await after(20_000);
  say('an attack: forged signatures, and none at all');
  const attack = setInterval(() => void forge(urls).catch(() => {}), 50);
  cleanup.defer(() => clearInterval(attack));
  await after(30_000);
  clearInterval(attack);
  await after(10_000);
  say('the app is down');
  await upstream.close();
  await after(30_000);
  await look({ prometheusUrl: prometheus.url, from, to: Date.now() / 1000 - 1 });
}

/**
 * Milliseconds until the drawn time starts at `second` of a half minute. The time axis has a label at each half minute,
 * and must not end at one.
 */
function untilSecond(second: number): number {
  const half = 30_000;
  return (second * 1000 + half - ((Date.now() + WARM_UP_MS) % half)) % half;
}

function configOf(upstreamUrl: string, secrets: string): Record<string, unknown> {
  return {
    upstream: { url: upstreamUrl, retryConnectFor: '200ms', checkExposure: true },
    secrets: [
      { directory: secrets },
      { id: 'spare', env: 'SPARE', notAfter: new Date(Date.now() + MONTH_MS).toISOString() },
    ],
    routes: ROUTES,
  };
}

/** One delivery of a stranger, to the first proxy; every third has no signature. */
async function forge([url = '']: readonly string[]): Promise<void> {
  const signature = sign('a stranger’s own secret', '{}');
  const headers = Math.random() < 1 / 3 ? {} : { 'Entrupy-Signature': signature };
  await (await fetch(`${url}/notify`, { method: 'POST', body: '{}', headers })).arrayBuffer();
}

/** 5 to 15 ms for most requests, 60 ms for some. */
function answerInTime(request: { readonly body: Buffer }, response: { end(text: string): void }): void {
  const slow = request.body.length % 20 === 0;
  setTimeout(() => response.end('{"status":"ok"}'), slow ? 60 : 5 + (request.body.length % 10));
}
