// A stop under load answers every request that was accepted.
// SIGTERM while deliveries keep arriving: each request that the proxy has accepted is answered, and the process exits
// in time. The kernel refuses connections that arrive after the listener has closed; those were never accepted.
import { expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { type Result, startPacedLoad, tally } from '../support/load/paced-load.ts';
import { delivery, pause, RATE, startUnderLoad, type UnderLoad } from '../support/load/under-load.ts';

const SECRET = 'value-of-current-0123456789-0123456789';
const DELAY_MS = 2000;
const GRACE_MS = 5000;
/** Longer than a test may take, so a stop that waits for it fails the test. */
const LONG = '10m';

const config = (shutdown: { readonly delay?: string; readonly grace?: string } = {}) => ({
  shutdown: { delay: `${DELAY_MS}ms`, grace: `${GRACE_MS}ms`, ...shutdown },
  log: { requests: 'none' },
  routes: [{ path: '/notify' }, { path: '/live', action: 'forward', upgrade: ['websocket'] }],
});

interface Stopped {
  readonly results: readonly Result[];
  readonly code: number | null;
  /** Epoch milliseconds of the signal. */
  readonly signalled: number;
}

/** A second of load, the signal, then load until the process has exited. */
async function stopUnderLoad({ proxy }: UnderLoad, signal: NodeJS.Signals = 'SIGTERM'): Promise<Stopped> {
  const load = startPacedLoad({
    url: proxy.url,
    rate: Math.min(RATE, 1000),
    connections: 100,
    next: (nth) => delivery(nth, SECRET),
  });
  await pause(1000);
  const signalled = Date.now();
  proxy.signal(signal);
  const { code } = await proxy.exited;
  const results = await load.stop();
  console.log(`${signal}: ${results.length} requests`, tally(results));
  return { results, code, signalled };
}

/**
 * No response was lost: each request that reached the upstream was answered, once, and an unanswered one was never
 * accepted.
 */
function expectNothingLost({ upstream }: UnderLoad, results: readonly Result[], besides: readonly string[] = []): void {
  const answered = results.filter(({ status }) => status === 200).map(({ id }) => id);
  const delivered = upstream.deliveries();
  for (const id of besides) delivered.delete(id);
  expect([...delivered.values()].every((times) => times === 1)).toBe(true);
  expect(new Set(delivered.keys())).toEqual(new Set(answered));
  const others = results.filter(({ status }) => status !== 200);
  // Closing the listener resets connections that wait unaccepted in the kernel's queue; those were not accepted either.
  expect(others.every(({ trouble }) => /^(?:ECONNREFUSED|ECONNRESET|UND_ERR_SOCKET|EPIPE)$/.test(trouble))).toBe(true);
}

test('SIGTERM: everything sent during the delay is answered, and the process exits after the last response', async () => {
  const running = await startUnderLoad(() => config({ grace: LONG }), { secrets: { current: SECRET }, delay: 20 });
  const { results, code, signalled } = await stopUnderLoad(running);
  expect(code).toBe(0);
  expectNothingLost(running, results);
  const early = results.filter(({ sent }) => sent < signalled + DELAY_MS - 100);
  expect(early.some(({ sent }) => sent > signalled + DELAY_MS / 2)).toBe(true);
  expect(tally(early)).toEqual({ 200: early.length });
  expect(running.proxy.logs().at(-1)).toMatchObject({ msg: 'stopped', cut: 0 });
});

test('SIGINT: without the delay, and no accepted request is lost', async () => {
  const running = await startUnderLoad(() => config({ delay: LONG, grace: LONG }), {
    secrets: { current: SECRET },
    delay: 20,
  });
  const { results, code } = await stopUnderLoad(running, 'SIGINT');
  expect(code).toBe(0);
  expectNothingLost(running, results);
});

test('SIGTERM with a WebSocket open: it stays until the end of grace, and delays no other response', async () => {
  const running = await startUnderLoad(() => config(), { secrets: { current: SECRET }, delay: 20 });
  const socket = new WebSocket(`${running.proxy.url.replace('http', 'ws')}/live`);
  await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject));
  const closed = new Promise((resolve) => socket.once('close', resolve));
  const echoes: string[] = [];
  socket.on('message', (text) => echoes.push(String(text)));
  const talk = setInterval(() => socket.readyState === WebSocket.OPEN && socket.send('still there?'), 100);
  const { results, code } = await stopUnderLoad(running);
  clearInterval(talk);
  expect(code).toBe(0);
  await closed;
  expect(echoes.length).toBeGreaterThan(DELAY_MS / 200);
  expectNothingLost(running, results);
});

test('SIGTERM with a hanging upstream: hanging requests get 503 at the end of grace and are counted, the others are answered', async () => {
  const running = await startUnderLoad(() => config(), { secrets: { current: SECRET }, delay: 20 });
  const hanging = ['hang-1', 'hang-2', 'hang-3'];
  const hung = startPacedLoad({
    url: running.proxy.url,
    rate: 1000,
    connections: hanging.length,
    next: (nth) => delivery(hanging[nth] ?? `hang-late-${nth}`, SECRET),
  });
  const { results, code } = await stopUnderLoad(running);
  const cut = await hung.stop();
  expect(code).toBe(0);
  expect(cut.slice(0, hanging.length).map(({ status }) => status)).toEqual([503, 503, 503]);
  expectNothingLost(running, results, hanging);
  expect(running.proxy.logs()).toContainEqual(expect.objectContaining({ level: 'warn', cut: hanging.length }));
});
