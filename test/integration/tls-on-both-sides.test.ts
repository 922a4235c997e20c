// TLS with clients and with the upstream. The certificates are made when the tests run.
import { X509Certificate } from 'node:crypto';
import { copyFileSync, readFileSync } from 'node:fs';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { Agent, createServer, type RequestOptions, request } from 'node:https';
import { connect } from 'node:net';
import { join } from 'node:path';
import type { TLSSocket } from 'node:tls';
import { describe, expect } from 'vitest';
import { deliver } from '../support/deliveries/deliver.ts';
import { sign } from '../support/deliveries/signer.ts';
import { exchange } from '../support/http/raw-client.ts';
import { delivery } from '../support/http/requests.ts';
import { clientHello } from '../support/load/flood.ts';
import { ownDirectory, replaceFile } from '../support/machine/files.ts';
import { listening } from '../support/machine/listening.ts';
import { runCommand } from '../support/proxy/command.ts';
import { test as base, eventually, starting, value } from '../support/proxy/proxied.ts';
import type { RunningProxy } from '../support/proxy/proxy.ts';
import { change, reload } from '../support/proxy/reloads.ts';
import { createAuthority, type Pair } from '../support/tls/certificates.ts';

const BODY = '{"event":1}';
const LOCAL = ['IP:127.0.0.1', 'DNS:localhost'];

const directory = ownDirectory();
const authority = createAuthority(directory, 'authority');
const others = createAuthority(directory, 'others');
// All are made before the tests: that blocks this process, and with it the upstreams of concurrent tests.
const pairs = {
  first: authority.issue('first', { names: LOCAL }),
  second: authority.issue('second', { names: LOCAL }),
  expired: authority.issue('expired', { names: LOCAL, expired: true }),
  client: authority.issue('client', { names: ['DNS:client'] }),
  nextClient: authority.issue('next-client', { names: ['DNS:client'] }),
  byName: authority.issue('by-name', { names: ['DNS:localhost', 'DNS:evil.example'] }),
  otherName: authority.issue('other-name', { names: ['DNS:evil.example'] }),
  internal: authority.issue('internal', { names: ['DNS:app.internal'] }),
  unknown: others.issue('unknown', { names: LOCAL }),
  stranger: others.issue('stranger', { names: ['DNS:stranger'] }),
};

const contents = ({ certFile, keyFile }: Pair) => ({ cert: readFileSync(certFile), key: readFileSync(keyFile) });

/** The status or the error code, and the name in the certificate that was presented. */
function ask(
  port: number,
  options: RequestOptions = {},
): Promise<{ readonly got: number | string; readonly by: string }> {
  return new Promise((resolve) => {
    let by = '';
    const headers = { 'Entrupy-Signature': sign(value('a'), BODY), 'Content-Length': BODY.length };
    const asking = request(
      {
        host: '127.0.0.1',
        port,
        method: 'POST',
        path: '/notify',
        headers,
        agent: false,
        ca: readFileSync(authority.caFile),
        ...options,
      },
      (response) => {
        response.resume().on('end', () => resolve({ got: response.statusCode ?? 0, by }));
      },
    );
    asking.on('socket', (socket) =>
      socket.on('secureConnect', () => {
        by = String((socket as TLSSocket).getPeerCertificate().subject.CN);
      }),
    );
    asking.on('error', (error: NodeJS.ErrnoException) => resolve({ got: error.code ?? error.message, by }));
    asking.end(BODY);
  });
}

/** A fatal alert: node's own client sends none if it distrusts a certificate. */
const UNKNOWN_CA = Buffer.from([21, 3, 3, 0, 2, 2, 48]);

describe.concurrent('the listener', () => {
  /** Copies that the test can replace. */
  function copies(own: string, pair: Pair = pairs.first) {
    const files = { certFile: join(own, 'tls.crt'), keyFile: join(own, 'tls.key'), clientCaFile: join(own, 'ca.crt') };
    copyFileSync(pair.certFile, files.certFile);
    copyFileSync(pair.keyFile, files.keyFile);
    copyFileSync(authority.caFile, files.clientCaFile);
    const put = async ({ certFile, keyFile }: Pair) => {
      await replaceFile(files.certFile, await readFile(certFile, 'utf8'));
      await replaceFile(files.keyFile, await readFile(keyFile, 'utf8'));
    };
    const { certFile, keyFile } = files;
    return { files, put, tls: { certFile, keyFile } };
  }

  base(
    'serves a new certificate once its files change, and keeps connections, and the old one if it is bad',
    async ({ start, directory: own, onTestFinished }) => {
      const { tls, files, put } = copies(own);
      const proxy = await start({ listen: { tls } });
      for (const [name, becomes, words] of [
        [
          'mismatched',
          () => replaceFile(files.certFile, readFileSync(pairs.second.certFile, 'utf8')),
          'the key does not belong to the certificate',
        ],
        ['expired', () => put(pairs.expired), 'the certificate expired on 2020-02-01'],
        ['empty', () => writeFile(files.certFile, ''), `listen.tls.certFile ${files.certFile}: OpenSSL says `],
        ['gone', () => rm(files.certFile), 'it does not exist'],
      ] as const) {
        await becomes();
        expect(await reload(proxy, undefined, 500), name).toContain(words);
        expect(await ask(proxy.port), name).toEqual({ got: 200, by: 'first' });
      }
      expect((await proxy.metrics()).get('entrupy_proxy_last_reload_successful')).toBe(0);
      const agent = new Agent({ keepAlive: true, maxSockets: 1 });
      onTestFinished(() => agent.destroy());
      expect(await ask(proxy.port, { agent })).toEqual({ got: 200, by: 'first' });
      await put(pairs.second);
      await eventually(() => ask(proxy.port), { got: 200, by: 'second' });
      expect(await ask(proxy.port, { agent })).toEqual({ got: 200, by: '' }); // no new handshake
      const metrics = await proxy.metrics();
      expect(metrics.get('entrupy_proxy_last_reload_successful')).toBe(1);
      const ends = new X509Certificate(readFileSync(pairs.second.certFile)).validToDate.getTime() / 1000;
      const series = 'entrupy_proxy_tls_certificate_not_after_timestamp_seconds';
      expect(metrics.get(`${series}{certificate="listen"}`)).toBe(ends);
      expect(metrics.has(`${series}{certificate="upstream_client"}`)).toBe(false);
    },
  );

  base(
    'an unusable pair fails the start with 2; an expired one is a warning; TLS off needs a restart',
    async ({ start, directory: own }) => {
      const tls = { certFile: pairs.first.certFile, keyFile: pairs.second.keyFile };
      const file = join(own, 'config.yaml');
      await writeFile(file, JSON.stringify({ listen: { tls, port: 0 }, upstream: { url: 'http://127.0.0.1:1' } }));
      const { code, stderr } = await runCommand(['serve', '--config', file]);
      const problem = `listen.tls.keyFile ${tls.keyFile}: the key does not belong to the certificate`;
      expect([code, stderr]).toEqual([2, expect.stringContaining(problem)]);
      const proxy = await start({ listen: { tls: copies(own, pairs.expired).tls } });
      const asked = () => ask(proxy.port, { rejectUnauthorized: false });
      expect(await asked()).toEqual({ got: 200, by: 'expired' });
      await proxy.waitForLog(({ level, problem }) => level === 'warn' && /certificate expired/.test(`${problem}`));
      await change(proxy, ({ listen }) => ({ listen: { ...listen, tls: undefined } }));
      expect(await asked()).toEqual({ got: 200, by: 'expired' });
      const { keys } = await proxy.waitForLog(({ msg }) => msg === 'these changes need a restart');
      expect(keys).toEqual(['listen.tls']);
    },
  );

  base(
    'with a client CA, which a reload can change, only clients that it signed get in',
    async ({ start, directory: own }) => {
      const { files, tls } = copies(own);
      const refused = /ECONNRESET|EPIPE|UNKNOWN_CA|CERTIFICATE_REQUIRED/;
      const proxy = await start({
        listen: { tls: files },
        limits: { headersTimeout: '5m' }, // applies to the handshake too
        shutdown: { grace: '5m' },
      });
      expect((await ask(proxy.port, contents(pairs.client))).got).toBe(200);
      expect((await ask(proxy.port)).got).toMatch(refused);
      expect((await ask(proxy.port, contents(pairs.stranger))).got).toMatch(refused);
      // A handshake that fails counts where deliveries come from.
      const distrusts = connect(proxy.port, '127.0.0.1').on('error', () => {});
      // Of TLS 1.2, whose alerts are not encrypted yet once the server has answered.
      distrusts.write(await clientHello({ maxVersion: 'TLSv1.2' }));
      distrusts.once('data', () => distrusts.write(UNKNOWN_CA));
      await eventually(
        async () => (await proxy.status()).advice.map(({ id, message }) => [id, /^(.*?), the last/.exec(message)?.[1]]),
        [['handshake-fails', 'The last 3 deliveries to unmatched were turned away']],
      );
      const [first] = (await proxy.status()).advice;
      expect(first?.message).toMatch(/: clients refused the certificate here \(ERR_SSL_.*UNKNOWN_CA\)\./);
      await replaceFile(files.clientCaFile, readFileSync(others.caFile, 'utf8'));
      await reload(proxy);
      expect((await ask(proxy.port, contents(pairs.stranger))).got).toBe(200);
      expect((await ask(proxy.port, contents(pairs.client))).got).toMatch(refused);
      for (const [wanted, without] of [
        [tls, 200],
        [files, expect.stringMatching(refused)],
        [tls, 200],
      ] as const) {
        await change(proxy, ({ listen }) => ({ listen: { ...listen, tls: wanted } }));
        expect((await ask(proxy.port)).got).toEqual(without);
        expect((await ask(proxy.port, contents(pairs.stranger))).got).toBe(200);
      }
      // A handshake that never ends does not hold up a stop.
      const silent = connect(proxy.port, '127.0.0.1').on('error', () => {});
      proxy.exited.finally(() => silent.destroy());
      expect((await ask(proxy.port)).got).toBe(200); // the silent connection was accepted before this one
      proxy.signal('SIGTERM');
      expect((await proxy.exited).code).toBe(0);
    },
  );
});

describe.concurrent('to the upstream', () => {
  async function startTlsUpstream(pair: Pair, options: object = {}) {
    const seen: Record<'serverName' | 'client' | 'host', string | false>[] = [];
    const server = createServer({ ...contents(pair), ...options }, (incoming, response) => {
      const socket = incoming.socket as TLSSocket & { readonly servername: string | false };
      const peer = socket.getPeerCertificate();
      seen.push({
        serverName: socket.servername,
        client: String(peer.subject?.CN ?? ''),
        host: incoming.headers.host ?? '',
      });
      incoming.resume().on('end', () => response.end('ok'));
    });
    server.on('tlsClientError', () => {});
    return { seen, server, ...(await listening(server)) };
  }

  const test = base.extend('tlsUpstream', starting(startTlsUpstream));

  const failures = async (proxy: RunningProxy, cause: string) =>
    (await proxy.metrics()).get(`entrupy_proxy_upstream_failures_total{route="unmatched",cause="${cause}"}`);

  const present = ({ server }: Awaited<ReturnType<typeof startTlsUpstream>>, pair: Pair) => {
    server.setSecureContext(contents(pair));
    server.closeAllConnections();
  };

  test('the CA is checked, and the name is the URL’s, never the client’s Host', async ({ start, tlsUpstream }) => {
    const upstream = await tlsUpstream(pairs.byName);
    const { port, seen } = upstream;
    const proxy = await start({ upstream: { url: `https://localhost:${port}`, tls: { caFile: authority.caFile } } });
    const hosts = ['shop.example', 'evil.example', `127.0.0.1:${proxy.port}`];
    for (const host of hosts) expect(await sendAs(proxy, host)).toBe(200);
    expect(seen.map(({ serverName, host }) => [serverName, host])).toEqual(hosts.map((host) => ['localhost', host]));
    // A name that is not in the certificate is 502 at once, and so is an unknown authority.
    for (const [failed, pair] of [pairs.otherName, pairs.unknown].entries()) {
      present(upstream, pair);
      await eventually(() => upstream.sockets.size, 0);
      expect(await sendAs(proxy, 'evil.example')).toBe(502);
      expect(await failures(proxy, 'connect')).toBe(failed + 1);
    }
    present(upstream, pairs.byName);
    await change(proxy, (config) => ({ upstream: { ...config.upstream, tls: undefined } }));
    expect(await sendAs(proxy, 'localhost')).toBe(502);
    expect(seen).toHaveLength(hosts.length);
  });

  test('a client certificate is presented, and a changed one', async ({ start, directory: own, tlsUpstream }) => {
    const required = { requestCert: true, rejectUnauthorized: true, ca: readFileSync(authority.caFile) };
    const { port, seen, server } = await tlsUpstream(pairs.first, required);
    const files = { caFile: join(own, 'ca.crt'), certFile: join(own, 'tls.crt'), keyFile: join(own, 'tls.key') };
    copyFileSync(authority.caFile, files.caFile);
    copyFileSync(pairs.client.certFile, files.certFile);
    copyFileSync(pairs.client.keyFile, files.keyFile);
    const proxy = await start({ upstream: { url: `https://127.0.0.1:${port}`, tls: files } });
    expect(await deliver(proxy, 'a')).toBe(200);
    const next = pairs.nextClient;
    await replaceFile(files.certFile, readFileSync(next.certFile, 'utf8'));
    await replaceFile(files.keyFile, readFileSync(next.keyFile, 'utf8'));
    await reload(proxy);
    expect(await deliver(proxy, 'a')).toBe(200);
    expect(seen.map((one) => one.client)).toEqual(['client', 'next-client']);
    const series = 'entrupy_proxy_tls_certificate_not_after_timestamp_seconds{certificate="upstream_client"}';
    const ends = new X509Certificate(readFileSync(next.certFile)).validToDate.getTime() / 1000;
    expect((await proxy.metrics()).get(series)).toBe(ends);
    server.setSecureContext({ ...contents(pairs.unknown), ca: required.ca });
    server.closeAllConnections();
    await eventually(() => deliver(proxy, 'a'), 502);
    await replaceFile(files.caFile, readFileSync(others.caFile, 'utf8'));
    await reload(proxy);
    expect(await deliver(proxy, 'a')).toBe(200);
  });
});

const sendAs = async ({ port }: RunningProxy, host: string) =>
  (await exchange(port, delivery(BODY, value('a')).replace('Host: a', `Host: ${host}`))).status;
