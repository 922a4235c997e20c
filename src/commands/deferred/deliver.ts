// `deferred deliver`: has the running proxy try what is deferred now, and watches the store until each delivery is gone
// or was tried. The proxy alone sends, at its own pace.
import { setTimeout as delay } from 'node:timers/promises';
import { peekProgress } from '../../redelivery/record.ts';
import type { DeferredStore } from '../../redelivery/stores/store.ts';
import { ask } from '../ask.ts';
import { type Deferred, DeferredError, noSuchId } from './visitor.ts';

const TIMEOUT = 10_000;
const LOOK_MS = 500;
/** Without a change for this long the command ends, though the proxy goes on: it may wait for an app that is down. */
const STILL_MS = 60_000;

export async function deliver({ store, admin, json, io }: Deferred, id: string | null): Promise<number> {
  const before = await attempts(store);
  if (id !== null && !before.has(id)) throw noSuchId(id);
  const ids = id === null ? [...before.keys()] : [id];
  let state: State = { waiting: [], failure: null, still: false };
  if (ids.length > 0) {
    await askProxy(admin, id);
    state = await watch({ store, ids, before }, (text) => io.stderr(`${text}\n`));
  }
  const result = { asked: ids.length, gone: ids.length - state.waiting.length, waiting: state.waiting };
  if (json) io.stdout(`${JSON.stringify(result)}\n`);
  else io.stdout(sentence(result, state));
  return state.waiting.length === 0 ? 0 : 1;
}

function sentence({ asked, gone }: { asked: number; gone: number }, { failure, still }: State): string {
  if (asked === 0) return 'Nothing is deferred.\n';
  if (asked === 1 && gone === 1) return 'It is gone from the store: the app took it, or it was dropped or expired.\n';
  if (gone === asked)
    return `All ${asked} are gone from the store: the app took them, or they were dropped or expired.\n`;
  const why = failure === null ? '' : `; the last failure: ${failure}`;
  const ended = still ? `nothing changed for ${STILL_MS / 1000} s` : 'each of the others was tried';
  return `${gone} of ${asked} are gone from the store; ${ended}${why}. The proxy goes on trying, except those that are stopped or that no secret verifies.\n`;
}

async function askProxy(admin: URL, id: string | null): Promise<void> {
  const url = new URL(id === null ? '/-/redeliver' : `/-/redeliver?id=${id}`, admin);
  const { status, text } = await ask({ url, body: Buffer.alloc(0), timeout: TIMEOUT });
  if (status === 200) return;
  if (status === null) throw new DeferredError(`no answer from the proxy at ${admin.href}: ${text}`);
  throw new DeferredError(`the proxy at ${admin.href} answered ${status} ${text}`);
}

type Attempts = ReadonlyMap<string, { readonly count: number; readonly failure: string | null }>;

/** What the store tells of each delivery's attempts. */
async function attempts(store: DeferredStore): Promise<Attempts> {
  const { entries } = await store.list();
  return new Map(
    entries.map(({ id, progress }) => {
      const since = progress === null ? null : peekProgress(progress);
      return [id, { count: since?.attempts ?? 0, failure: since?.failure ?? null }];
    }),
  );
}

interface State {
  readonly waiting: readonly string[];
  /** Of the last one that was tried and not taken. */
  readonly failure: string | null;
  /** True if nothing changed for so long that the command gave up. */
  readonly still: boolean;
}

/** Resolves once each of `ids` is gone or was tried since `before`, or nothing changes any more. */
async function watch(
  { store, ids, before }: { store: DeferredStore; ids: readonly string[]; before: Attempts },
  tell: (text: string) => void,
): Promise<State> {
  let told = '';
  let changed = Date.now();
  for (;;) {
    const began = Date.now();
    const now = await attempts(store);
    const waiting = ids.filter((id) => now.has(id));
    const tried = waiting.filter((id) => (now.get(id)?.count ?? 0) !== before.get(id)?.count);
    const failure = now.get(tried.at(-1) ?? '')?.failure ?? null;
    const text = `${ids.length - waiting.length} of ${ids.length} gone, ${tried.length} tried and not taken`;
    if (text !== told) {
      tell(text);
      told = text;
      changed = Date.now();
    }
    if (tried.length === waiting.length) return { waiting, failure, still: false };
    if (Date.now() - changed >= STILL_MS) return { waiting, failure, still: true };
    // A long list costs the proxy's disk or Redis: it is read a tenth of the time at most.
    await delay(Math.max(LOOK_MS, 10 * (Date.now() - began)));
  }
}
