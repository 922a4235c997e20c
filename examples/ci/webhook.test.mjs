// The app behind the proxy, in Node's own test runner: `node --test`. Put your app in the place of `app`.
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { createInterface } from 'node:readline';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';

const PROGRAM = 'node_modules/entrupy-signature-proxy/dist/main.js';
const EVENT = 'node_modules/entrupy-signature-proxy/examples/events/authentication-v2.json';
const SECRET = { WEBHOOK_ENDPOINT_SECRET_KEY: 'a secret for tests alone, of 32 bytes or more' };

const received = [];
const app = createServer(async (request, response) => {
  received.push(JSON.parse(Buffer.concat(await request.toArray()).toString()));
  response.end();
});
let proxy;
let url;

before(async () => {
  await once(app.listen(0, '127.0.0.1'), 'listening');
  const env = { ...process.env, ...SECRET, UPSTREAM_URL: `http://127.0.0.1:${app.address().port}` };
  // By node, not by npx, which would leave the proxy running. Port 0 is any free port; the log names it.
  proxy = spawn(process.execPath, [PROGRAM], { env: { ...env, LISTEN_PORT: '0', ADMIN_PORT: '0', LOG_FORMAT: 'json' } });
  for await (const line of createInterface(proxy.stdout)) {
    const { msg, port } = JSON.parse(line);
    if (msg === 'listening') url = `http://127.0.0.1:${port}/notify`;
    if (msg === 'listening') break;
  }
});
after(() => {
  proxy.kill('SIGINT');
  app.close();
});

test('a signed event reaches the app', async () => {
  const words = ['probe', '--url', url, '--body', EVENT, '--secret-env', 'WEBHOOK_ENDPOINT_SECRET_KEY'];
  await promisify(execFile)(process.execPath, [PROGRAM, ...words], { env: { ...process.env, ...SECRET } });
  assert.equal(received[0].item.status.result.id, 'authentic');
});

test('a forged one does not', async () => {
  const { status } = await fetch(url, { method: 'POST', body: '{"forged":true}' });
  assert.equal(status, 401);
  assert.equal(received.length, 1);
});
