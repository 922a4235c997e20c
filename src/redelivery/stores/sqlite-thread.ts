// The thread of the embedded store. What came in meanwhile is one transaction and one sync.
import { type MessagePort, parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import { codeOf } from '../../base/errors.ts';
import type { Events } from './sqlite-events.ts';
import { isFull, StoreFile } from './sqlite-file.ts';

/** Calls that change nothing, and need no lock. */
const isRead = ({ method }: Call) => method === 'page' || method === 'read';

export type Method = keyof Events;
export type Args<M extends Method> = Parameters<Events[M]>;
type Call = { [M in Method]: { readonly method: M; readonly args: Args<M> } }[Method];
export type Result = { readonly value: unknown } | { readonly failure: string };
export interface Reply {
  /** Of the calls that were not answered yet, in their order. */
  readonly results: readonly Result[];
  /** Why nothing could be done; null: it works. */
  readonly problem: string | null;
  readonly losses: readonly string[];
}

const file = new StoreFile(workerData);
const port = parentPort as MessagePort;
let isLast = false;

/** Null is the last message. */
port.on('message', (call: Call | null) => {
  const calls: Call[] = [];
  receive(calls, call);
  if (calls.length > 0) answer(calls);
  if (!isLast) return;
  file.close();
  port.close();
});

/** Adds the call, and all that wait in the port. */
function receive(calls: Call[], call: Call | null | undefined): void {
  let next = call;
  for (; next && !isLast; next = receiveMessageOnPort(port)?.message) calls.push(next);
  isLast ||= next === null;
}

function answer(calls: Call[]): void {
  const done = doneAll(calls);
  // A buffer that was written must not hold its memory until the next collection.
  for (const { method, args } of calls) if (method === 'add') args[0].record.buffer.transfer(0);
  const reply: Reply = { ...done, losses: file.losses.splice(0) };
  port.postMessage(reply, file.moved.splice(0));
  if (!calls.every(isRead) && reply.problem === null) file.tidy();
}

/** `refusal`: why nothing is added; null: it is; undefined: that is found out. */
function doneAll(calls: Call[], refusal?: string | null): Omit<Reply, 'losses'> {
  try {
    const results = file.transaction(calls.every(isRead), (events) => {
      let refused = refusal;
      return Array.from(growing(calls), ({ method, args }) => {
        if (method === 'add') refused = refused === undefined ? file.roomProblem() : refused;
        if (method === 'add' && refused) return { failure: refused };
        return { value: (events[method] as (...given: readonly unknown[]) => unknown)(...args) };
      });
    });
    return { results, problem: null };
  } catch (error) {
    // The system's message repeats the path, which the caller adds.
    const problem = /^E[A-Z]+$/.test(codeOf(error)) ? codeOf(error) : (error as Error).message;
    // A removal may find the room that an addition did not.
    if (isFull(error) && !refusal && calls.some(({ method }) => method === 'add')) return doneAll(calls, problem);
    return { results: calls.map(() => ({ failure: problem })), problem };
  }
}

/** The calls, and whatever comes in until the last one is done. */
function* growing(calls: Call[]): Generator<Call> {
  const isFixed = calls.every(isRead);
  for (const call of calls) {
    yield call;
    if (!isFixed && !isLast) receive(calls, receiveMessageOnPort(port)?.message);
  }
}
