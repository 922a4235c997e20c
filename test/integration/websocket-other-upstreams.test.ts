// Upstreams other than plain TCP: a WebSocket goes over a unix socket, or over TLS to the configured name alone.
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { createAuthority } from '../support/tls/certificates.ts';
import { echoed, openWebSocket } from '../support/websocket/client.ts';
import { liveOf, test } from '../support/websocket/tunnels.ts';

describe('to other upstreams', () => {
  test('over a unix socket', async ({ startEchoing, proxyTo }) => {
    const path = join(tmpdir(), `entrupy-ws-${process.pid}-${randomBytes(4).toString('hex')}.sock`);
    const echo = await startEchoing(createServer(), { url: `unix://${path}`, path });
    const proxy = await proxyTo(echo);
    const webSocket = await openWebSocket(liveOf(proxy));
    expect((await echoed(webSocket, 'unix')).toString()).toBe('unix');
    webSocket.terminate();
  });

  test('over TLS on both sides, never with a name of the client’s', async ({ directory, startEchoing, proxyTo }) => {
    const authority = createAuthority(directory, 'ca');
    const { certFile, keyFile } = authority.issue('upstream', { names: ['DNS:app.internal', 'DNS:evil.example'] });
    const server = createTlsServer({ cert: readFileSync(certFile), key: readFileSync(keyFile) });
    const asked: unknown[] = [];
    server.on('secureConnection', (socket) => asked.push(socket.servername));
    const echo = await startEchoing(server, { url: 'https://127.0.0.1' });
    const tls = { caFile: authority.caFile, serverName: 'app.internal' };
    const proxy = await proxyTo(echo, { upstream: { url: echo.url, tls }, listen: { tls: { certFile, keyFile } } });
    const client = {
      ca: readFileSync(authority.caFile),
      servername: 'app.internal',
      headers: { Host: 'evil.example' },
    };
    const url = liveOf(proxy).replace('ws:', 'wss:');
    const webSocket = await openWebSocket(url, [], client);
    expect((await echoed(webSocket, Buffer.alloc(100_000, 1))).length).toBe(100_000);
    expect(asked).toEqual(['app.internal']);
    webSocket.terminate();

    // With another name in its certificate: 502, and nothing is sent.
    const other = authority.issue('other', { names: ['DNS:evil.example'] });
    server.setSecureContext({ cert: readFileSync(other.certFile), key: readFileSync(other.keyFile) });
    await expect(openWebSocket(url, [], client)).rejects.toThrow('502');
    expect(asked).toHaveLength(1);
  });
});
