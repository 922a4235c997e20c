// `demo`: a demo upstream, the real proxy before it, and a running commentary. Everything stays on loopback.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SIGNATURE_HEADER } from '../core/signature.ts';
import { type App, startApp } from '../runtime/app.ts';
import { type DemoSecrets, demoConfig, makeSecrets, type Step, signature, story } from './demo-story.ts';
import { type DemoUpstream, startDemoUpstream } from './demo-upstream.ts';
import type { Io } from './io.ts';
import { mistake, runCommand } from './usage.ts';

export const help = `Usage: entrupy-signature-proxy demo [--once] [--upstream-only --port N [--host H]]

Starts a demo upstream and the proxy before it on free loopback ports, sends
deliveries of each kind, and says what became of them. Then it stays up and
prints curl commands to try.

  --once            exit after the commentary; 1 if a step went other than told
  --upstream-only   run the demo upstream alone
  --port N          its port (3000)
  --host H          its address (every interface)
  --help            this text`;

const SHAPE = {
  name: 'demo',
  help,
  options: { once: 'flag', 'upstream-only': 'flag', port: 'text', host: 'text' },
  positionals: [],
} as const;

export function run(argv: readonly string[], io: Io): Promise<number> {
  return runCommand(SHAPE, { argv, io }, async ({ values }) => {
    if (values['upstream-only'] === true) {
      if (values.once === true) throw mistake('--once and --upstream-only exclude each other');
      return upstreamOnly({ host: values.host ?? '::', port: portOf(values.port) }, io);
    }
    if (values.port !== undefined) throw mistake('--port goes with --upstream-only');
    if (values.host !== undefined) throw mistake('--host goes with --upstream-only');
    return demo(values.once === true ? 'once' : 'stay', io);
  });
}

function portOf(text = '3000'): number {
  if (!/^\d{1,5}$/.test(text) || Number(text) > 65535) throw mistake(`--port ${JSON.stringify(text)} is no port`);
  return Number(text);
}

async function upstreamOnly(at: { readonly host: string; readonly port: number }, io: Io): Promise<number> {
  const upstream = await startDemoUpstream({ ...at, keep: 0 }, ({ method, target, body }) =>
    io.stdout(`${method} ${JSON.stringify(target)} ${body.length} bytes\n`),
  );
  io.stdout(`demo upstream on port ${upstream.port}\n`);
  await stopSignal();
  await upstream.close();
  return 0;
}

async function demo(mode: 'once' | 'stay', io: Io): Promise<number> {
  const secrets = makeSecrets();
  const env = { DEMO_CURRENT: secrets.current, DEMO_PREVIOUS: secrets.previous, DEMO_RETIRED: secrets.retired };
  const directory = await mkdtemp(join(tmpdir(), 'entrupy-demo-'));
  const upstream = await startDemoUpstream({ host: '127.0.0.1', port: 0, keep: 10 });
  let app: App | null = null;
  try {
    const configFile = join(directory, 'config.yaml');
    await writeFile(configFile, demoConfig(upstream.port));
    app = await startApp({ configFile, env, write: () => {}, now: Date.now });
    return await perform(mode, { app, upstream, io }, secrets);
  } finally {
    await app?.stop({ delay: 'skip' });
    await upstream.close();
    await rm(directory, { recursive: true, force: true });
  }
}

async function perform(mode: 'once' | 'stay', stage: Stage, secrets: DemoSecrets): Promise<number> {
  const { app, upstream, io } = stage;
  io.stdout(`demo upstream  http://127.0.0.1:${upstream.port}   (an app that checks nothing)\n`);
  io.stdout(`proxy          http://127.0.0.1:${app.port}   admin http://127.0.0.1:${app.adminPort}\n`);
  let wrong = 0;
  for (const [index, step] of story(secrets).entries()) {
    const mistakes = await play(step, index + 1, stage);
    wrong += mistakes.length;
    for (const text of mistakes) io.stderr(`   NOT AS TOLD: ${text}\n`);
  }
  if (wrong > 0) return 1;
  io.stdout('\nEvery step went as told.\n');
  if (mode === 'once') return 0;
  io.stdout(tryIt(app, secrets));
  await stopSignal();
  return 0;
}

interface Stage {
  readonly app: App;
  readonly upstream: DemoUpstream;
  readonly io: Io;
}

/** Sends one delivery; gives what went other than told. */
async function play(step: Step, number: number, { app, upstream, io }: Stage): Promise<string[]> {
  const { expect } = step;
  io.stdout(`\n${number}. ${step.title}: ${step.why}\n`);
  const series = `entrupy_proxy_requests_total{route="${step.path}",decision="${expect.decision}",reason="${expect.reason}"}`;
  const before = await metric(app, series);
  const response = await fetch(`http://127.0.0.1:${app.port}${step.path}`, {
    method: 'POST',
    body: step.body,
    headers: {
      'Content-Type': 'application/json',
      ...(step.signature === null ? {} : { [SIGNATURE_HEADER]: step.signature }),
    },
  });
  const text = (await response.text()).trim();
  const arrived = upstream.take();
  const after = await metric(app, series);
  io.stdout(`   client   ${response.status} ${text}\n`);
  io.stdout(
    `   upstream ${arrived.length === 0 ? 'got nothing' : `got ${arrived[0]?.body.length} bytes, unchanged`}\n`,
  );
  io.stdout(`   metrics  ${series} ${after}\n`);
  const mistakes: string[] = [];
  if (response.status !== expect.status) mistakes.push(`status ${response.status}, not ${expect.status}`);
  if (arrived.length !== (expect.arrives ? 1 : 0)) mistakes.push(`${arrived.length} requests reached the upstream`);
  if (expect.arrives && arrived[0]?.body.toString() !== step.body) mistakes.push('the body was changed on the way');
  if (expect.arrives && arrived[0]?.signature !== step.signature) mistakes.push('the signature was changed on the way');
  if (after !== before + 1) mistakes.push(`the metric went from ${before} to ${after}`);
  return mistakes;
}

async function metric(app: App, series: string): Promise<number> {
  const text = await (await fetch(`http://127.0.0.1:${app.adminPort}/metrics`)).text();
  const line = text.split('\n').find((candidate) => candidate.startsWith(`${series} `));
  return line === undefined ? Number.NaN : Number(line.slice(series.length + 1));
}

function tryIt(app: App, secrets: DemoSecrets): string {
  const proxy = `http://127.0.0.1:${app.port}`;
  const body = '{"hello":"entrupy"}';
  return `
Still up; Ctrl-C ends it. Try, in another terminal:

  # signed: 200
  curl -i ${proxy}/notify -H 'Content-Type: application/json' -H '${SIGNATURE_HEADER}: ${signature(secrets.current, body)}' -d '${body}'

  # not signed: 401
  curl -i ${proxy}/notify -H 'Content-Type: application/json' -d '${body}'

  # sign a body of your own
  BODY='{"made":"by hand"}'; SIGNATURE=$(printf %s "$BODY" | openssl dgst -sha256 -hmac '${secrets.current}' -binary | base64)
  curl -i ${proxy}/notify -H 'Content-Type: application/json' -H "${SIGNATURE_HEADER}: SHA256:$SIGNATURE" -d "$BODY"

  # a spelling that some servers take for /notify: 401, not a way around
  curl -i --path-as-is -X POST '${proxy}/x/..;/notify'

  # what it counts, and the status page
  curl -s http://127.0.0.1:${app.adminPort}/metrics | grep requests_total
  curl -s http://127.0.0.1:${app.adminPort}/api/status      # or / in a browser
`;
}

function stopSignal(): Promise<void> {
  return new Promise((resolve) => {
    process.once('SIGINT', () => resolve());
    process.once('SIGTERM', () => resolve());
  });
}
