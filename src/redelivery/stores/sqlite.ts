// The embedded store: SQLite in a thread of its own. A disk that hangs stops the thread, and nothing else. The thread gets
// what has come while it was at work as one message: so what waits here can still be withdrawn, and no more than one
// message is in memory twice.
import { Buffer } from 'node:buffer';
import { once } from 'node:events';
import { dirname } from 'node:path';
import { Worker } from 'node:worker_threads';
import { threads } from '../../base/blocked-threads.ts';
import { deadline } from '../../base/deadline.ts';
import { ignore } from '../../base/errors.ts';
import type { Events, RawRecord } from './sqlite-events.ts';
import type { AnyCall, Args, Method, Reply, Result, ThreadOptions } from './sqlite-thread.ts';
import { threadSource } from './sqlite-thread-source.ts';
import * as contract from './store.ts';

const THREAD = 'the store of deferred deliveries';
/** Bytes of one message, which may be one larger call. */
const MOST_BYTES = 4 * 1024 * 1024;
const RESTART_MS = 1000;
/** Of the thread's heap. Bodies are outside it. */
const LIMITS = { maxOldGenerationSizeMb: 32, maxYoungGenerationSizeMb: 2 };

interface Pending {
  readonly bytes: number;
  /** Copies what it sends no sooner than it is sent. */
  readonly call: () => AnyCall;
  readonly settle: (result: Result) => void;
}

/** Resolves once the file is open, or has turned out to be of no use: then each later call tries again. */
export async function createSqliteStore(
  options: contract.StoreOptions,
  onChange: contract.OnStoreChange,
): Promise<contract.DeferredStore> {
  const store = new SqliteStore(options, onChange);
  await store.read('').catch(ignore);
  return store;
}

class SqliteStore implements contract.DeferredStore {
  readonly #options: contract.StoreOptions;
  readonly #onChange: contract.OnStoreChange;
  readonly #path: string;
  #thread: Worker | null = null;
  /** Why there is none, and until when; on the monotonic clock. */
  #ended = { why: '', until: 0 };
  readonly #waiting = new Set<Pending>();
  #sent: readonly Pending[] = [];
  #isClosed = false;
  /** A call has waited too long: until the thread answers, no further one waits. */
  #isHanging = false;
  /** Null: it works. Undefined: nothing is known yet. */
  #problem: string | null | undefined;

  constructor(options: contract.StoreOptions, onChange: contract.OnStoreChange) {
    this.#options = options;
    this.#onChange = onChange;
    this.#path = contract.fileIn(options.store);
  }

  readonly add: contract.DeferredStore['add'] = ({ record, ...event }, pause) => {
    const copied = () => ({ head: new Uint8Array(record.head), body: new Uint8Array(record.body) });
    const args = (): Args<'add'> => [{ ...event, record: copied() }, pause, this.#options.maxBytes];
    return this.#call('add', args, contract.countedBytes(contract.bytesOf(record)));
  };

  readonly take: contract.DeferredStore['take'] = async ({ held, ...asked }) => {
    const turns = held.map(({ id, turn }) => ({ id, turn }));
    const { taken, wait } = await this.#call('take', () => [{ ...asked, held: turns }, this.#options.mostBytes()]);
    const readable = (record: Exclude<contract.Taken['record'], contract.StoredBytes> | RawRecord) =>
      typeof record === 'string' ? record : storedOf(record);
    return { taken: taken.map(({ record, ...event }) => ({ ...event, record: readable(record) })), wait };
  };

  readonly read: contract.DeferredStore['read'] = async (id) => {
    const record = await this.#call('read', () => [id, this.#options.mostBytes()]);
    return record === null ? null : storedOf(record);
  };

  // Copied to the thread is what is named here: a turn may be of an event with its body.
  readonly set: contract.DeferredStore['set'] = ({ id, turn }, { pause, state, note }) =>
    this.#call('set', () => [
      { id, turn },
      { pause, state, note },
    ]);
  readonly remove: contract.DeferredStore['remove'] = ({ id, turn }) => this.#call('remove', () => [{ id, turn }]);
  readonly end: contract.DeferredStore['end'] = (id, age) => this.#call('end', () => [id, age]);
  readonly wake: contract.DeferredStore['wake'] = (ids) => this.#call('wake', () => [ids]);
  readonly drop: contract.DeferredStore['drop'] = (id) => this.#call('drop', () => [id]);
  readonly summary: contract.DeferredStore['summary'] = () => this.#call('summary', () => []);

  async *list(): AsyncIterable<readonly contract.Entry[]> {
    let page = await this.#call('page', () => [0]);
    for (let last = page.at(-1); last !== undefined; last = page.at(-1)) {
      const { key } = last;
      yield page;
      page = await this.#call('page', () => [key]);
    }
  }

  /** After all calls. Rejects if the thread does not end in time: then the process can't, either. */
  async close(): Promise<void> {
    const thread = this.#thread;
    if (thread === null) return;
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    const cancel = deadline(contract.TIME_LIMIT_MS, () => reject(this.#error('its thread does not end')));
    thread.once('exit', resolve);
    const last = this.read('').catch(ignore);
    this.#isClosed = true;
    void last.then(() => thread.postMessage('close'));
    await promise.finally(cancel);
  }

  // --- the thread

  /** `bytes`: what the call copies. A call that was sent may take effect after it has been rejected. */
  async #call<M extends Method>(method: M, args: () => Args<M>, bytes = 0): Promise<ReturnType<Events[M]>> {
    if (this.#isClosed) throw this.#error('it is closed');
    if (this.#isHanging) throw this.#error(`${this.#problem}`);
    const { promise, resolve: settle } = Promise.withResolvers<Result>();
    const pending: Pending = { bytes, call: () => ({ method, args: args() }) as unknown as AnyCall, settle };
    // A client waits for an `add`, a person for a visitor.
    const isAdd = method === 'add';
    const limit = contract.TIME_LIMIT_MS * (isAdd ? 1 : this.#options.as === 'visitor' ? 5 : 10);
    const cancel = deadline(limit, () => {
      const failure = `it did not answer within ${limit} ms`;
      this.#isHanging ||= !isAdd;
      if (this.#problem !== undefined || !isAdd) this.#tell(failure); // it may still be opened
      settle({ failure });
    });
    this.#waiting.add(pending);
    setImmediate(() => this.#send()); // what comes within one turn of the event loop goes together
    const result = await promise;
    cancel();
    this.#waiting.delete(pending);
    if ('failure' in result) throw this.#error(result.failure);
    return result.value as ReturnType<Events[M]>;
  }

  #send(): void {
    if (this.#sent.length > 0 || this.#waiting.size === 0) return;
    if (this.#thread === null && performance.now() < this.#ended.until) return this.#fail(this.#ended.why);
    const sent: Pending[] = [];
    let bytes = 0;
    for (const pending of this.#waiting) {
      bytes += pending.bytes;
      if (sent.length > 0 && bytes > MOST_BYTES) break;
      sent.push(pending);
      this.#waiting.delete(pending);
    }
    this.#sent = sent;
    try {
      this.#thread ??= this.#start();
      const calls = sent.map(({ call }) => call());
      this.#thread.postMessage(calls, calls.flatMap(copiesIn));
    } catch (error) {
      this.#fail(String(error)); // no memory for the copies, or no further thread
    }
  }

  #start(): Worker {
    const workerData: ThreadOptions = { path: this.#path, as: this.#options.as };
    const thread = new Worker(threadSource, {
      ...{ workerData, eval: typeof threadSource === 'string', name: 'deferred', resourceLimits: LIMITS },
      // The environment holds secrets, and nothing but the log's lines may be on the standard streams.
      ...{ env: {}, execArgv: ['--disable-warning=ExperimentalWarning'] },
    });
    let error: unknown = '';
    thread.on('message', (reply: Reply) => this.#settle(reply));
    thread.on('error', (thrown) => {
      error = thrown;
    });
    thread.on('exit', () => {
      threads.delete(THREAD);
      this.#thread = null;
      this.#isHanging = false;
      this.#ended = { why: `its thread has ended (${error})`, until: performance.now() + RESTART_MS };
      if (this.#waiting.size + this.#sent.length > 0) this.#fail(this.#ended.why);
    });
    threads.set(THREAD, () => (this.#isClosed ? once(thread, 'exit') : this.read('')));
    return thread;
  }

  #settle({ results, problem, losses }: Reply): void {
    const sent = this.#sent;
    this.#sent = [];
    this.#isHanging = false;
    for (const problem of losses) this.#options.onLoss(problem);
    this.#tell(problem);
    for (const [at, result] of results.entries()) sent[at]?.settle(result);
    this.#send();
  }

  #fail(problem: string): void {
    const all = [...this.#sent, ...this.#waiting];
    this.#sent = [];
    this.#tell(problem);
    for (const pending of all) pending.settle({ failure: problem });
  }

  #tell(problem: string | null): void {
    if (problem === this.#problem) return;
    this.#problem = problem;
    this.#onChange(problem === null ? null : this.#error(problem).message);
  }

  #error(problem: string): Error {
    return new Error(`${dirname(this.#path)}: ${problem}`);
  }
}

const bufferOf = (bytes: RawRecord['head']) => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
const storedOf = ({ head, body }: RawRecord) => ({ head: bufferOf(head), body: bufferOf(body) });
const copiesIn = ({ method, args }: AnyCall) =>
  method === 'add' ? [args[0].record.head.buffer, args[0].record.body.buffer] : [];
