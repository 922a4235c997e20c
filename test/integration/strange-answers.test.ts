// What `check` and `healthcheck` say where something else than the proxy answers on the admin port: one plain line, and
// exit code 1. Nothing is read without an end.
import { createServer, type Socket } from 'node:net';
import { expect, test } from 'vitest';
import { listening } from '../support/machine/listening.ts';
import { callCommand, runCommand } from '../support/proxy/command.ts';

type Answer = (socket: Socket) => void;

const ok = (body: string, type = 'application/json'): Answer => {
  const head = `HTTP/1.1 200 OK\r\nContent-Type: ${type}\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n`;
  return (socket) => socket.end(head + body);
};

/** Writes as fast as it is read, until the client has gone. */
const endless = (head: string, piece: string): Answer => {
  return (socket) => {
    const bytes = Buffer.from(piece.repeat(65_536 / piece.length));
    const more = () => void (socket.writable && socket.write(bytes, more));
    socket.write(head, more);
  };
};

const UPGRADE = 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n';

const ANSWERS: readonly (readonly [name: string, answer: Answer, said: RegExp])[] = [
  ['is no HTTP', (socket) => socket.end('220 mail.example ESMTP\r\n'), /: the answer is not HTTP\./],
  ['is HTML', ok('<!doctype html><title>Grafana</title>', 'text/html'), /it answers 200, but not as version \d/],
  ['is empty', ok(''), /it answers 200, but not as/],
  ['is null', ok('null'), /it answers 200, but not as/],
  ['is of another version', ok('{"version":"0.0.1","advice":[],"right":[]}'), /it answers 200, but not as/],
  ['is nested deeply', ok('['.repeat(1_000_000)), /it answers 200, but not as/],
  ['has no end', endless('HTTP/1.1 200 OK\r\n\r\n', 'x'), /it answers 200, but not as/],
  [
    'is a redirect',
    (socket) => socket.end('HTTP/1.1 302 Found\r\nLocation: /login\r\nContent-Length: 0\r\n\r\n'),
    /302/,
  ],
  ['changes protocols', (socket) => socket.end(UPGRADE), /it answers 101, but not as/],
  ['has a head without an end', endless('HTTP/1.1 200 OK\r\n', 'X-More: 1234567\n'), /: the answer is not HTTP\./],
  ['is a reset', (socket) => socket.resetAndDestroy(), /: the connection was cut\./],
  ['is a close', (socket) => socket.end(), /: the connection was cut\./],
  ['is cut', (socket) => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{'), /: the connection was cut\./],
];

test.concurrent.for(ANSWERS)(
  'an answer that %s is told in a sentence',
  async ([, answer, said], { onTestFinished }) => {
    const server = createServer((socket) => {
      socket.on('error', () => {});
      socket.once('data', () => answer(socket));
    });
    const { port, close } = await listening(server);
    onTestFinished(close);
    const env = { ADMIN_PORT: String(port) };
    const { code, stdout, stderr } = await callCommand(['check', '--json'], { env });
    expect([code, stderr]).toEqual([1, '']);
    const { ok: isOk, checks } = JSON.parse(stdout) as { ok: boolean; checks: { state: string; message: string }[] };
    const failed = checks.filter(({ state }) => state === 'failed').map(({ message }) => message);
    expect([isOk, failed]).toEqual([false, [expect.stringMatching(said)]]);
    expect(failed[0]).not.toMatch(/\n|\bat .*:\d+:\d+/);
  },
);

test('the process ends with a plain line, too, where the answer changes protocols', async () => {
  const { port, close } = await listening(createServer((socket) => void socket.end(UPGRADE)));
  const env = { ADMIN_PORT: String(port) };
  const probe = ['probe', '--url', `http://127.0.0.1:${port}/notify`];
  for (const [words, said] of [
    [['check'], /^failed {3}ready: No proxy answers at .+\n/],
    [['healthcheck'], /^not ready: 101 \n$/],
    [['retire-previous'], /101/],
    [['capture'], /the proxy answers 101/],
    [probe, /101/],
  ] as const) {
    const { code, stdout, stderr } = await runCommand(words, { env });
    expect([words[0], code, stdout + stderr]).toEqual([words[0], 1, expect.stringMatching(said)]);
  }
  await close();
});
