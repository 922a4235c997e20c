// SIGTERM while deliveries come in without a pause: each that the proxy has taken is answered, and it ends in time. What
// comes when the listener has closed is refused by the kernel, and was never taken.
import { expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { type Result, startPacedLoad, tally } from '../support/paced-load.ts';
import { delivery, pause, RATE, startUnderLoad, type UnderLoad } from '../support/under-load.ts';

const SECRET = 'value-of-current-0123456789-0123456789';
const DELAY_MS = 2000;
const GRACE_MS = 5000;
/** Longer than a test may take, so that a stop that waits for it fails. */
const LONG = '10m';

const config = (shutdown: { readonly delay?: string; readonly grace?: string } = {}) => ({
  shutdown: { delay: `${DELAY_MS}ms`, grace: `${GRACE_MS}ms`, ...shutdown },
  log: { requests: 'none' },
  routes: [{ path: '/notify' }, { path: '/live', action: 'forward', upgrade: ['websocket'] }],
});

interface Stopped {
  readonly results: readonly Result[];
  readonly code: number | null;
  /** Milliseconds from the signal to the end. */
  readonly took: number;
  /** Epoch milliseconds of the signal. */
  readonly signalled: number;
}

/** Load for a second, the signal, load until it has ended. */
async function stopUnderLoad({ proxy }: UnderLoad, signal: NodeJS.Signals = 'SIGTERM'): Promise<Stopped> {
  const load = startPacedLoad({
    url: proxy.url,
    rate: Math.min(RATE, 1000),
    connections: 100,
    next: (nth) => delivery(nth, SECRET),
  });
  await pause(1000);
  const begun = performance.now();
  const signalled = Date.now();
  proxy.signal(signal);
  const { code } = await proxy.exited;
  const took = performance.now() - begun;
  const results = await load.stop();
  console.log(`${signal}: ${results.length} requests, gone after ${Math.round(took)} ms`, tally(results));
  return { results, code, took, signalled };
}

/** No answer was lost: what reached the upstream was answered, once, and what was not answered had not been taken. */
function expectNothingLost({ upstream }: UnderLoad, results: readonly Result[], besides: readonly string[] = []): void {
  const answered = results.filter(({ status }) => status === 200).map(({ id }) => id);
  const delivered = upstream.deliveries();
  for (const id of besides) delivered.delete(id);
  expect([...delivered.values()].every((times) => times === 1)).toBe(true);
  expect(new Set(delivered.keys())).toEqual(new Set(answered));
  const others = results.filter(({ status }) => status !== 200);
  // A connection in the kernel's queue, that nobody had accepted when the listener closed, is reset by it: not taken either.
  expect(others.every(({ trouble }) => /^(?:ECONNREFUSED|ECONNRESET|UND_ERR_SOCKET|EPIPE)$/.test(trouble))).toBe(true);
}

test('SIGTERM: all that was sent during the delay is answered, and it ends with the last answer', async () => {
  const running = await startUnderLoad(() => config({ grace: LONG }), { secrets: { current: SECRET }, delay: 20 });
  const { results, code, took, signalled } = await stopUnderLoad(running);
  expect(code).toBe(0);
  expect(took).toBeGreaterThan(DELAY_MS);
  expectNothingLost(running, results);
  const early = results.filter(({ sent }) => sent < signalled + DELAY_MS - 100);
  expect(tally(early)).toEqual({ 200: early.length });
  expect(running.proxy.logs().at(-1)).toMatchObject({ msg: 'stopped', cut: 0 });
});

test('SIGINT: without the delay, and nothing that was taken is lost', async () => {
  const running = await startUnderLoad(() => config({ delay: LONG, grace: LONG }), {
    secrets: { current: SECRET },
    delay: 20,
  });
  const { results, code } = await stopUnderLoad(running, 'SIGINT');
  expect(code).toBe(0);
  expectNothingLost(running, results);
});

test('SIGTERM with a WebSocket open: it lives until the end of grace, and holds up no other answer', async () => {
  const running = await startUnderLoad(() => config(), { secrets: { current: SECRET }, delay: 20 });
  const socket = new WebSocket(`${running.proxy.url.replace('http', 'ws')}/live`);
  await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject));
  const closed = new Promise<number>((resolve) => socket.once('close', () => resolve(Date.now())));
  const echoes: string[] = [];
  socket.on('message', (text) => echoes.push(String(text)));
  const talk = setInterval(() => socket.readyState === WebSocket.OPEN && socket.send('still there?'), 100);
  const { results, code, signalled } = await stopUnderLoad(running);
  clearInterval(talk);
  expect(code).toBe(0);
  expect((await closed) - signalled).toBeGreaterThan(DELAY_MS);
  expect(echoes.length).toBeGreaterThan(DELAY_MS / 200);
  expectNothingLost(running, results);
});

test('SIGTERM with an upstream that hangs: what hangs is cut at the end of grace and counted, the rest is answered', async () => {
  const running = await startUnderLoad(() => config(), { secrets: { current: SECRET }, delay: 20 });
  const hanging = ['hang-1', 'hang-2', 'hang-3'];
  const hung = startPacedLoad({
    url: running.proxy.url,
    rate: 1000,
    connections: hanging.length,
    next: (nth) => delivery(hanging[nth] ?? `hang-late-${nth}`, SECRET),
  });
  const { results, code, took } = await stopUnderLoad(running);
  const cut = await hung.stop();
  expect(code).toBe(0);
  expect(took).toBeGreaterThan(DELAY_MS + GRACE_MS);
  expect(cut.slice(0, hanging.length).map(({ status }) => status)).toEqual([0, 0, 0]);
  expectNothingLost(running, results, hanging);
  expect(running.proxy.logs()).toContainEqual(expect.objectContaining({ level: 'warn', cut: hanging.length }));
});
