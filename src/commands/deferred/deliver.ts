// `deferred deliver`: has the running proxy try what is deferred now, and watches the store until each delivery is gone
// or was tried. The proxy alone sends, at its own pace.
import { setTimeout as delay } from 'node:timers/promises';
import { ask, askStatus } from '../running-proxy.ts';
import { type Action, type Deferred, everything, noSuchId } from './visitor.ts';

const TIMEOUT = 10_000;
const LOOK_MS = 500;
/** Without a change for this long the command ends, though the proxy goes on. */
const STILL_MS = 60_000;

/** By id: how often each was tried before. */
type Asked = ReadonlyMap<string, number>;

export const deliver: Action = async (deferred, id) => {
  const { json, io } = deferred;
  const asked: Asked = new Map(
    [...(await everything(deferred.store))]
      .filter(([each]) => id === null || each === id)
      .map(([each, { note }]) => [each, note?.attempts ?? 0]),
  );
  if (id !== null && asked.size === 0) return noSuchId(id);
  const told = (waiting: readonly string[], text: string) => {
    const answer = { asked: asked.size, gone: asked.size - waiting.length, waiting };
    io.stdout(json ? `${JSON.stringify(answer)}\n` : text);
    return waiting.length === 0 ? 0 : 1;
  };
  if (asked.size === 0) return told([], 'Nothing is deferred.\n');
  const refused = await askProxy(deferred, id);
  if (refused !== null) return refused;
  const { waiting, end } = await watch(deferred, asked);
  const gone = asked.size - waiting.length;
  const rest =
    waiting.length === 0 ? ': taken by the app, dropped or expired.' : `; ${end}. What waits is tried again.`;
  return told(waiting, `${gone} of ${asked.size} ${gone === 1 ? 'is' : 'are'} gone from the store${rest}\n`);
};

/** Why it refuses; null if it does not. */
async function askProxy({ admin }: Deferred, id: string | null): Promise<string | null> {
  const url = new URL(id === null ? '/-/redeliver' : `/-/redeliver?id=${id}`, admin);
  const { status, text } = await ask({ url, body: Buffer.alloc(0), timeout: TIMEOUT });
  if (status === 200) return null;
  if (status === null) return `no answer from the proxy at ${admin.href}: ${text}`;
  if (status === 409) return 'nothing is sent while no route has redeliver';
  return `the proxy at ${admin.href} answered ${status} ${text}`;
}

/** Resolves once each is gone or was tried again, or nothing changes any more: with those that are not gone, and why. */
async function watch({ store, admin, io }: Deferred, asked: Asked) {
  let told = '';
  let changed = 0;
  for (;;) {
    const began = Date.now();
    const now = await everything(store);
    const waiting = [...asked.keys()].filter((id) => now.has(id));
    const tried = waiting.filter((id) => (now.get(id)?.note?.attempts ?? 0) !== asked.get(id));
    const failure = now.get(tried.at(-1) ?? '')?.note?.failure;
    const ends = (end: string) => ({ waiting, end: failure ? `${end}; the last failure: ${failure}` : end });
    const text = `${asked.size - waiting.length} of ${asked.size} gone, ${tried.length} tried and not taken\n`;
    const isNews = text !== told;
    if (isNews) {
      io.stderr(text);
      told = text;
      changed = Date.now();
    }
    if (tried.length === waiting.length) return ends('each of the others was tried');
    if (!isNews) {
      const status = await askStatus(admin);
      const app = typeof status === 'string' ? null : status.upstream; // it does not say
      if (app?.reachable === false) return ends(`the app accepts no connection (${app.error})`);
      if (Date.now() - changed >= STILL_MS) return ends(`nothing changed for ${STILL_MS / 1000} s`);
    }
    // A long list costs the proxy's disk or Redis: it is read a tenth of the time at most.
    await delay(Math.max(LOOK_MS, 10 * (Date.now() - began)));
  }
}
