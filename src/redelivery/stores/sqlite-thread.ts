// The thread of the embedded store. Calls that come while the thread works share its next transaction and sync.
import { type MessagePort, parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import { codeOf } from '../../base/errors.ts';
import { type FileLoss, isFull, StoreFile } from './sqlite-file.ts';
import type { Queries } from './sqlite-queries.ts';

export type Method = keyof Queries;
export type Args<M extends Method> = Parameters<Queries[M]>;
type Call = { [M in Method]: { readonly method: M; readonly args: Args<M> } }[Method];
export type Result = { readonly value: unknown } | { readonly failure: string };
export interface Report {
  /** The results of the first calls that were not answered yet, in their order. */
  readonly results: readonly Result[];
  /** Why nothing could be done; null if the store works. */
  readonly problem: string | null;
  readonly losses: readonly FileLoss[];
}

const ADDS: ReadonlySet<Method> = new Set(['add', 'test']);
const READS: ReadonlySet<Method> = new Set(['page', 'find', 'losses']);
/** The longest wait for more calls, and the time from one look at the port to the next, in milliseconds. */
const [MOST_GATHER_MS, LOOK_MS] = [20, 0.5];

const file = new StoreFile(workerData);
const port = parentPort as MessagePort;
const never = new Int32Array(new SharedArrayBuffer(4));
/** What has come and is not done yet. The last message is null: it closes the file. */
const messages: (Call | null)[] = [];
/** Milliseconds of the last transaction; and how many calls to expect with the next: those in it, and that came meanwhile. */
let [took, expected] = [0, 0];

function received(): number {
  for (let next = receiveMessageOnPort(port); next; next = receiveMessageOnPort(port)) messages.push(next.message);
  return messages.length;
}

port.on('message', (first: Call | null) => {
  messages.push(first);
  while (received() > 0) {
    // Callers of the last transaction come again one by one: without a wait the first would get a sync of its own.
    const until = performance.now() + (expected > 1 ? Math.min(took, MOST_GATHER_MS) : 0);
    while (received() < expected && messages.at(-1) !== null && performance.now() < until)
      Atomics.wait(never, 0, 0, LOOK_MS);
    const calls = messages.filter((message) => message !== null);
    const isLast = messages.splice(0).at(-1) === null;
    const began = performance.now();
    if (calls.length > 0) answer(calls);
    [took, expected] = [performance.now() - began, calls.length + received()];
    if (!isLast) continue;
    file.close();
    port.close();
  }
});

function answer(calls: readonly Call[]): void {
  const report: Report = { ...doneAll(calls, null), losses: file.nextLoss() };
  // Frees the added records at once, and not only at the next garbage collection.
  for (const { method, args } of calls) if (method === 'add') args[0].record.buffer.transfer(0);
  port.postMessage(report, file.shared.readRecords.splice(0));
}

/** `noRoom`: why nothing can be added, if that is known already; else null. */
function doneAll(calls: readonly Call[], noRoom: string | null): Omit<Report, 'losses'> {
  const isAdding = calls.some(({ method }) => ADDS.has(method));
  // Reading alone needs no lock. A lease needs no sync: if it is lost, its event is due sooner.
  const changing = calls.filter(({ method }) => !READS.has(method));
  const isLasting = changing.some(({ method }) => method !== 'lease' && method !== 'leaseKept');
  const kind = isLasting ? 'lasting' : changing.length > 0 ? 'lease' : 'read';
  try {
    const results = file.transaction(kind, (queries) =>
      resultsOf(calls, queries, noRoom ?? (isAdding ? file.noRoom() : null)),
    );
    return { results, problem: null };
  } catch (error) {
    // The system's message repeats the path, which the caller adds.
    const problem = /^E[A-Z]+$/.test(codeOf(error)) ? codeOf(error) : (error as Error).message;
    // If nothing is added, the other calls may find room.
    if (isFull(error) && isAdding && noRoom === null) return doneAll(calls, problem);
    return { results: calls.map(() => ({ failure: problem })), problem };
  }
}

function resultsOf(calls: readonly Call[], queries: Queries, noRoom: string | null): readonly Result[] {
  return calls.map(({ method, args }) => {
    if (ADDS.has(method) && noRoom !== null) return { failure: noRoom };
    return { value: (queries[method] as (...given: readonly unknown[]) => unknown)(...args) };
  });
}
