// `demo`: an upstream that checks nothing, the real proxy in front of it, and a running commentary. All on loopback.
import { createSecretKey, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempDisposable, writeFile } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import type { Decision, Reason } from '../core/decision.ts';
import { LOWER_CASE_SIGNATURE_HEADER, SIGNATURE_HEADER, SIGNATURE_PREFIX, signBody } from '../core/signature.ts';
import { bind } from '../downstream/listener.ts';
import { type App, startApp } from '../runtime/app.ts';
import { command, type Io, usageError } from './command-line.ts';

export const definition = {
  name: 'demo',
  usage: '[--once] [--upstream-only [--port N] [--host H]]',
  about: `
Starts a demo upstream and the proxy in front of it on free loopback ports, sends
deliveries of each kind, and reports what happened to each. Then it keeps running
and prints curl commands to try.`,
  options: {
    once: { type: 'boolean', does: 'exits after the commentary' },
    'upstream-only': { type: 'boolean', does: 'runs the demo upstream alone' },
    port: { type: 'string', value: 'N', does: 'its port (3000)' },
    host: { type: 'string', value: 'H', does: 'its address (every interface)' },
  },
  exits: [
    ['0', 'stopped, or with --once every step went as expected'],
    ['1', 'a step did not go as expected'],
    ['2', 'the command line cannot be used'],
  ],
} as const;

export const run = command(definition, async ({ values }, io) => {
  if (values['upstream-only']) {
    if (values.once) throw usageError('give --once or --upstream-only, not both');
    const at = { host: values.host ?? '::', port: portOf(values.port) };
    await using upstream = await startUpstream(at, ({ method, url }, body) =>
      io.stdout(`${method} ${JSON.stringify(url)} ${body.length} bytes\n`),
    );
    io.stdout(`demo upstream on port ${upstream.port}\n`);
    await stopSignal();
    return 0;
  }
  if (values.port !== undefined || values.host !== undefined) {
    throw usageError('--port and --host need --upstream-only');
  }
  return demo(values.once ? 'once' : 'stay', io);
});

function portOf(text = '3000'): number {
  if (!/^\d{1,5}$/.test(text) || Number(text) > 65535) throw usageError(`--port ${JSON.stringify(text)} is not a port`);
  return Number(text);
}

/** Starts an app that answers every request, checks no signature, and reports each with its body's first MiB. */
async function startUpstream(
  { host, port }: { host: string; port: number },
  onRequest: (request: IncomingMessage, body: Buffer) => void,
) {
  const server = process.getBuiltinModule('node:http').createServer(async (request, response) => {
    const body = await beginning(request).catch(() => null);
    if (body === null) return response.destroy();
    onRequest(request, body);
    const { method, url: target } = request;
    response.writeHead(200, { 'Content-Type': 'application/json' });
    response.end(`${JSON.stringify({ status: 'ok', app: 'demo', method, target, bytes: body.length })}\n`);
  });
  server.keepAliveTimeout = 5000;
  return { port: await bind(server, host, port), [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() };
}

const KEPT_BYTES = 1024 * 1024;

async function beginning(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request) {
    bytes += chunk.length;
    if (bytes <= KEPT_BYTES) chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

const newSecret = () => randomBytes(24).toString('base64url');

/** Secrets generated for one run: the config names them, the proxy's environment holds them. */
const SECRETS = { DEMO_CURRENT: newSecret(), DEMO_PREVIOUS: newSecret(), DEMO_RETIRED: newSecret() };

function signature(secret: string, body: string): string {
  return SIGNATURE_PREFIX + signBody(createSecretKey(Buffer.from(secret)), Buffer.from(body));
}

const CONFIG = `listen: { host: 127.0.0.1, port: 0 }
admin: { host: 127.0.0.1, port: 0 }
secrets:
  - { id: current, env: DEMO_CURRENT }
  - { id: previous, env: DEMO_PREVIOUS }      # both are live: that is a rotation
  - { id: retired, env: DEMO_RETIRED, notAfter: 2020-01-01T00:00:00Z }
routes:
  - { path: /notify }
  - { path: /trial, mode: report, reportUntil: 2099-01-01T00:00:00Z }
  - { path: /healthz, action: forward }
shutdown: { delay: 0s, grace: 5s }
`;

/** An authentication as Entrupy's v1 API shows it (https://developer.entrupy.com/docs/api/). */
const DELIVERY =
  '{"item":{"entrupy_id":"1SALEFYH","properties":{"brand":{"id":"louis_vuitton"}},"status":{"result":{"final":true,"id":"authentic"}}}}';

/** A delivery and its decision, by default `accepted`. A rejected one gets 401; others reach the upstream unchanged. */
interface Step {
  readonly tells: string;
  readonly path?: string;
  readonly body?: string;
  /** The signature header's value; absent if the delivery has no such header. */
  readonly signature?: string;
  readonly expected?: readonly [Decision, Reason];
}

const VALID = signature(SECRETS.DEMO_CURRENT, DELIVERY);

const STORY: readonly Step[] = [
  { tells: 'A valid delivery, signed with the secret `current`: it is forwarded byte for byte', signature: VALID },
  {
    tells: 'A tampered delivery: `authentic` became `counterfeit`, so the signature belongs to another body',
    body: DELIVERY.replace('authentic', 'counterfeit'),
    signature: VALID,
    expected: ['rejected', 'signature_mismatch'],
  },
  { tells: 'A missing signature: anybody can POST to a public URL', expected: ['rejected', 'missing_signature'] },
  {
    tells: 'A malformed signature: hex instead of base64, the most common mistake in hand-written signing code',
    signature: `SHA256:${Buffer.from(VALID.slice(SIGNATURE_PREFIX.length), 'base64').toString('hex')}`,
    expected: ['rejected', 'malformed_signature'],
  },
  {
    tells: 'An expired secret: `retired`, whose notAfter has passed: refused, but distinguished from a forgery',
    signature: signature(SECRETS.DEMO_RETIRED, DELIVERY),
    expected: ['rejected', 'expired_secret'],
  },
  {
    tells: 'A rotated secret: `previous` is live together with `current`, so no delivery is lost while senders switch',
    signature: signature(SECRETS.DEMO_PREVIOUS, DELIVERY),
  },
  {
    tells: 'A route in report mode: /trial forwards and counts the requests that it would otherwise refuse',
    path: '/trial',
    expected: ['reported', 'missing_signature'],
  },
];

interface Received {
  readonly body: Buffer;
  readonly signature: unknown;
}

async function demo(mode: 'once' | 'stay', io: Io): Promise<number> {
  const arrived: Received[] = [];
  await using upstream = await startUpstream({ host: '127.0.0.1', port: 0 }, ({ headers }, body) => {
    if (arrived.length < 10) arrived.push({ body, signature: headers[LOWER_CASE_SIGNATURE_HEADER] });
  });
  const upstreamUrl = `http://127.0.0.1:${upstream.port}`;
  await using directory = await mkdtempDisposable(join(tmpdir(), 'entrupy-demo-'));
  const configFile = join(directory.path, 'config.yaml');
  await writeFile(configFile, CONFIG);
  const silent = new Writable({ write: (_line, _encoding, done) => done() });
  const app = await startApp({ configFile, env: { ...SECRETS, UPSTREAM_URL: upstreamUrl }, stdout: silent });
  try {
    io.stdout(`demo upstream  ${upstreamUrl}   (an app that checks nothing)\n`);
    io.stdout(`proxy          http://127.0.0.1:${app.port}   admin http://127.0.0.1:${app.adminPort}\n`);
    let wrong = 0;
    for (const [index, step] of STORY.entries()) {
      io.stdout(`\n${index + 1}. ${step.tells}\n`);
      const problems = await play(step, { app, arrived, io });
      wrong += problems.length;
      for (const text of problems) io.stderr(`   UNEXPECTED: ${text}\n`);
    }
    if (wrong > 0) return 1;
    io.stdout('\nEvery step went as expected.\n');
    if (mode === 'once') return 0;
    io.stdout(tryIt(app));
    await stopSignal();
    return 0;
  } finally {
    await app.stop({ delay: 'skip' });
  }
}

/** Sends one delivery; returns what was not as expected. `arrived` has what reached the upstream in this step. */
async function play(step: Step, { app, arrived, io }: { app: App; arrived: Received[]; io: Io }) {
  const { path = '/notify', body = DELIVERY, signature, expected: [decision, reason] = ['accepted', 'none'] } = step;
  const series = `entrupy_proxy_requests_total{route="${path}",decision="${decision}",reason="${reason}"}`;
  const before = await metric(app, series);
  arrived.length = 0;
  const response = await fetch(`http://127.0.0.1:${app.port}${path}`, {
    method: 'POST',
    body,
    headers: { 'Content-Type': 'application/json', ...(signature !== undefined && { [SIGNATURE_HEADER]: signature }) },
  });
  const text = (await response.text()).trim();
  const after = await metric(app, series);
  const [received] = arrived;
  io.stdout(`   client   ${response.status} ${text}\n`);
  io.stdout(`   upstream ${received === undefined ? 'got nothing' : `got ${received.body.length} bytes, unchanged`}\n`);
  io.stdout(`   metrics  ${series} ${after}\n`);
  const [status, requests] = decision === 'rejected' ? [401, 0] : [200, 1];
  const checks: readonly (readonly [boolean, string])[] = [
    [response.status === status, `status ${response.status}, not ${status}`],
    [arrived.length === requests, `${arrived.length} requests reached the upstream`],
    [received === undefined || received.body.toString() === body, 'the body was changed on the way'],
    [received === undefined || received.signature === signature, 'the signature was changed on the way'],
    [after === before + 1, `the metric went from ${before} to ${after}`],
  ];
  return checks.filter(([holds]) => !holds).map(([, problem]) => problem);
}

async function metric(app: App, series: string): Promise<number> {
  const text = await (await fetch(`http://127.0.0.1:${app.adminPort}/metrics`)).text();
  return Number(text.split(`\n${series} `)[1]?.split('\n', 1)[0]);
}

function tryIt(app: App): string {
  const proxy = `http://127.0.0.1:${app.port}`;
  const body = '{"hello":"entrupy"}';
  return `
The demo keeps running; stop it with Ctrl-C. In another terminal, try:

  # signed: 200
  curl -i ${proxy}/notify -H 'Content-Type: application/json' -H '${SIGNATURE_HEADER}: ${signature(SECRETS.DEMO_CURRENT, body)}' -d '${body}'

  # not signed: 401
  curl -i ${proxy}/notify -H 'Content-Type: application/json' -d '${body}'

  # sign a body of your own
  BODY='{"made":"by hand"}'; SIGNATURE=$(printf %s "$BODY" | openssl dgst -sha256 -hmac '${SECRETS.DEMO_CURRENT}' -binary | base64)
  curl -i ${proxy}/notify -H 'Content-Type: application/json' -H "${SIGNATURE_HEADER}: SHA256:$SIGNATURE" -d "$BODY"

  # a path that some servers read as /notify: 401, so it does not bypass the proxy
  curl -i --path-as-is -X POST '${proxy}/x/..;/notify'

  # the metrics, and the status page
  curl -s http://127.0.0.1:${app.adminPort}/metrics | grep requests_total
  curl -s http://127.0.0.1:${app.adminPort}/api/status      # or / in a browser
`;
}

function stopSignal(): Promise<unknown> {
  return Promise.race([once(process, 'SIGINT'), once(process, 'SIGTERM')]);
}
