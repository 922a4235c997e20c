// `demo`: an upstream that checks nothing, the real proxy in front of it, and a running commentary. All on loopback.
import { createHash, createSecretKey, hash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempDisposable, writeFile } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import EVENT from '../../examples/events/authentication-v1.json' with { type: 'json' };
import type { Decision, Reason } from '../core/reasons.ts';
import { LOWER_CASE_SIGNATURE_HEADER, SIGNATURE_HEADER, SIGNATURE_PREFIX } from '../core/signature.ts';
import { bind } from '../downstream/listener.ts';
import { type RunningProxy, startProxy } from '../runtime/proxy.ts';
import { command, type Io } from './command.ts';
import { usageError } from './options.ts';
import { askWhole } from './running-proxy.ts';
import { signatureOf } from './sign.ts';

export const run = command('demo', async ({ values }, io) => {
  const { once: isOnce = false, 'upstream-only': isUpstream = false, port, host } = values;
  if (isOnce && isUpstream) throw usageError('give --once or --upstream-only, not both');
  if (!isUpstream && (port !== undefined || host !== undefined))
    throw usageError('--port and --host need --upstream-only');
  if (!isUpstream) return demo(isOnce ? 'once' : 'stay', io);
  const tell: OnRequest = ({ method, url }, { bytes }) =>
    io.stdout(`${method} ${JSON.stringify(url)} ${bytes} bytes\n`);
  await using upstream = await startUpstream(host ?? '::', portOf(port), tell);
  io.stdout(`demo upstream on port ${upstream.port}\n`);
  await stopSignal();
  return 0;
});

function portOf(text = '3000'): number {
  if (!/^\d{1,5}$/.test(text) || Number(text) > 65535) throw usageError(`--port ${JSON.stringify(text)} is not a port`);
  return Number(text);
}

type OnRequest = (request: IncomingMessage, body: { bytes: number; sha256: string }) => void;

/** Starts an app that answers every request, checks no signature, and reports each request. */
async function startUpstream(host: string, port: number, onRequest: OnRequest) {
  const server = process.getBuiltinModule('node:http').createServer((request, response) => {
    const digest = createHash('sha256');
    let bytes = 0;
    request.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      digest.update(chunk);
    });
    request.on('end', () => {
      const { method, url: target } = request;
      onRequest(request, { bytes, sha256: digest.digest('hex') });
      response.writeHead(200, { 'Content-Type': 'application/json' });
      response.end(`${JSON.stringify({ status: 'ok', app: 'demo', method, target, bytes })}\n`);
    });
  });
  return { port: await bind(server, host, port), [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() };
}

const newSecret = () => randomBytes(24).toString('base64url');

/** Secrets generated for one run: the config names them, the proxy's environment holds them. */
const SECRETS = { DEMO_CURRENT: newSecret(), DEMO_PREVIOUS: newSecret(), DEMO_RETIRED: newSecret() };

const signature = (secret: string, body: string) =>
  signatureOf(createSecretKey(Buffer.from(secret)), Buffer.from(body));

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

const DELIVERY = JSON.stringify(EVENT);

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

async function demo(mode: 'once' | 'stay', io: Io): Promise<number> {
  const arrived: string[] = [];
  await using upstream = await startUpstream('127.0.0.1', 0, ({ headers }, { sha256 }) => {
    if (arrived.length < 10) arrived.push(`${headers[LOWER_CASE_SIGNATURE_HEADER]} ${sha256}`);
  });
  const upstreamUrl = `http://127.0.0.1:${upstream.port}`;
  await using directory = await mkdtempDisposable(join(tmpdir(), 'entrupy-demo-'));
  const configFile = join(directory.path, 'config.yaml');
  await writeFile(configFile, CONFIG);
  const silent = new Writable({ write: (_line, _encoding, done) => done() });
  const proxy = await startProxy({ configFile, env: { ...SECRETS, UPSTREAM_URL: upstreamUrl }, stdout: silent });
  try {
    io.stdout(`demo upstream  ${upstreamUrl}   (an app that checks nothing)\n`);
    io.stdout(`proxy          http://127.0.0.1:${proxy.port}   admin http://127.0.0.1:${proxy.adminPort}\n`);
    for (const [index, step] of STORY.entries()) {
      io.stdout(`\n${index + 1}. ${step.tells}\n`);
      if (!(await play(step, proxy, { arrived, io }))) return 1;
    }
    io.stdout('\nEvery step went as expected.\n');
    if (mode === 'once') return 0;
    io.stdout(tryIt(proxy));
    await stopSignal();
    return 0;
  } finally {
    await proxy.stop({ delay: 'skip' });
  }
}

const TIMEOUT = 10_000;

/** Sends one delivery; true if all went as expected. `arrived`: signatures and body hashes that the upstream got. */
async function play(step: Step, proxy: RunningProxy, { arrived, io }: { arrived: string[]; io: Io }): Promise<boolean> {
  const { path = '/notify', body = DELIVERY, signature, expected: [decision, reason] = ['accepted', 'none'] } = step;
  const series = `entrupy_proxy_requests_total{route="${path}",decision="${decision}",reason="${reason}"}`;
  const signed = signature === undefined ? {} : { [SIGNATURE_HEADER]: signature };
  const headers = { 'Content-Type': 'application/json', ...signed };
  const url = new URL(`http://127.0.0.1:${proxy.port}${path}`);
  const { status, text } = await askWhole({ url, headers, body: Buffer.from(body), timeout: TIMEOUT });
  const counted = await metric(proxy, series);
  const got = arrived.splice(0).join();
  const isUnchanged = got === `${signature} ${hash('sha256', body, 'hex')}`;
  const upstream = isUnchanged ? `got ${Buffer.byteLength(body)} bytes, unchanged` : got && 'got something else';
  io.stdout(`   client   ${status} ${text.trim()}\n`);
  io.stdout(`   upstream ${upstream || 'got nothing'}\n`);
  io.stdout(`   metrics  ${series} ${counted}\n`);
  const isRight =
    counted > 0 && (decision === 'rejected' ? status === 401 && got === '' : status === 200 && isUnchanged);
  if (!isRight) io.stderr('   UNEXPECTED\n');
  return isRight;
}

async function metric(proxy: RunningProxy, series: string): Promise<number> {
  const { text } = await askWhole({ url: new URL(`http://127.0.0.1:${proxy.adminPort}/metrics`), timeout: TIMEOUT });
  return Number(text.split(`\n${series} `)[1]?.split('\n', 1)[0]);
}

function tryIt({ port, adminPort }: RunningProxy): string {
  const proxy = `http://127.0.0.1:${port}`;
  const body = '{"hello":"entrupy"}';
  return `
The demo keeps running; stop it with Ctrl-C. In another terminal, try:

  # signed: 200
  curl -i ${proxy}/notify -H 'Content-Type: application/json' -H '${SIGNATURE_HEADER}: ${signature(SECRETS.DEMO_CURRENT, body)}' -d '${body}'

  # not signed: 401
  curl -i ${proxy}/notify -H 'Content-Type: application/json' -d '${body}'

  # a path that some servers read as /notify: 401, so it does not bypass the proxy
  curl -i --path-as-is -X POST '${proxy}/x/..;/notify'

  # the metrics, and the status page
  curl -s http://127.0.0.1:${adminPort}/metrics | grep requests_total
  curl -s http://127.0.0.1:${adminPort}/api/status      # or / in a browser
`;
}

function stopSignal(): Promise<unknown> {
  return Promise.race([once(process, 'SIGINT'), once(process, 'SIGTERM')]);
}
