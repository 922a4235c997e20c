// The thread of the embedded store. What came in meanwhile is one transaction and one sync.
import { parentPort, workerData } from 'node:worker_threads';
import { codeOf } from '../../base/errors.ts';
import type { Events } from './sqlite-events.ts';
import { isFull, StoreFile, type Sync } from './sqlite-file.ts';

/** How each call changes the file. A claim dies with its process anyway, so it needs no sync. */
const SYNCS = {
  ...{ page: 'none', read: 'none', take: 'NORMAL', wake: 'NORMAL', summary: 'NORMAL' },
  ...{ add: 'FULL', set: 'FULL', remove: 'FULL', end: 'FULL', drop: 'FULL' },
} as const satisfies Readonly<Partial<Record<keyof Events, Sync>>>;

export type Method = keyof typeof SYNCS;
export type Args<M extends Method> = Parameters<Events[M]>;
export type AnyCall = { [M in Method]: { readonly method: M; readonly args: Args<M> } }[Method];
export interface ThreadOptions {
  readonly path: string;
  readonly as: 'owner' | 'visitor';
}
export type Result = { readonly value: unknown } | { readonly failure: string };
export interface Reply {
  readonly results: readonly Result[];
  /** Why nothing could be done; null: it works. */
  readonly problem: string | null;
  readonly losses: readonly string[];
}

const { path, as } = workerData as ThreadOptions;
const file = new StoreFile(path, as);

parentPort?.on('message', (calls: readonly AnyCall[] | 'close') => {
  if (calls === 'close') {
    file.close();
    parentPort?.close();
    return;
  }
  const syncs = new Set<Sync>(calls.map(({ method }) => SYNCS[method]));
  const sync = (['FULL', 'NORMAL'] as const).find((each) => syncs.has(each)) ?? 'none';
  const { results, problem } = done(calls, sync, null);
  // A buffer that was written must not hold its memory until the next collection.
  for (const { method, args } of calls) {
    if (method !== 'add') continue;
    args[0].record.head.buffer.transfer(0);
    args[0].record.body.buffer.transfer(0);
  }
  const reply: Reply = { results, problem, losses: file.losses.splice(0) };
  parentPort?.postMessage(reply, file.moved.splice(0));
  if (sync !== 'FULL' || problem !== null) return;
  try {
    file.tidy();
  } catch {
    file.close(); // the next call meets the same, and tells
  }
});

/** `refusal`: why nothing is added; null: that is found out. */
function done(calls: readonly AnyCall[], sync: Sync, refusal: string | null): Pick<Reply, 'results' | 'problem'> {
  const adds = calls.some(({ method }) => method === 'add');
  try {
    const results = file.transaction(sync, (events) => {
      const refused = refusal ?? (adds ? file.roomProblem() : null);
      return calls.map(({ method, args }) => {
        if (method === 'add' && refused !== null) return { failure: refused };
        return { value: (events[method] as (...given: readonly unknown[]) => unknown)(...args) };
      });
    });
    return { results, problem: null };
  } catch (error) {
    // The system's message repeats the path, which the caller adds.
    const problem = /^E[A-Z]+$/.test(codeOf(error)) ? codeOf(error) : (error as Error).message;
    // A removal may find the room that an addition did not.
    if (isFull(error) && adds && refusal === null) return done(calls, sync, problem);
    return { results: calls.map(() => ({ failure: problem })), problem };
  }
}
