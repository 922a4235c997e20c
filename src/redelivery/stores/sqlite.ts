// The embedded store: SQLite in a thread of its own. A disk that hangs stops the thread, and nothing else.
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { dirname } from 'node:path';
import { Worker } from 'node:worker_threads';
import { threads } from '../../base/blocked-threads.ts';
import { deadline } from '../../base/deadline.ts';
import { ignore } from '../../base/errors.ts';
import type { FileOptions } from './sqlite-file.ts';
import type { Queries } from './sqlite-queries.ts';
import type { Args, Method, Report, Result } from './sqlite-thread.ts';
import { threadSource } from './sqlite-thread-source.ts';
import * as store from './store.ts';

const THREAD = 'the store of deferred deliveries';
const RESTART_MS = 1000;

/** Opens the store. Resolves once the file is open, or could not be opened: then each later call tries again. */
export async function create(options: store.StoreOptions): Promise<store.DeferredStore> {
  const { maxBytes, largestRecord } = options;
  const thread = new StoreThread(options);
  await thread.call('find', ['', 0]).catch(ignore); // any call opens the file; this one finds nothing
  return {
    add({ id, note, record: [preamble, body] }, pause) {
      const record = new Uint8Array(preamble.length + body.length);
      record.set(preamble);
      record.set(body, preamble.length);
      return thread.call('add', [{ id, note, record }, pause, maxBytes], [record.buffer]);
    },
    lease: (request) => thread.call('lease', [request, largestRecord()]),
    change: (changes) => thread.call('change', [changes]),
    leaseKept: (id, bytes) => thread.call('leaseKept', [id, bytes]),
    page: (cursor) => thread.call('page', [cursor]),
    find: (id) => thread.call('find', [id, largestRecord()]),
    summary: () => thread.call('summary', []),
    losses: () => thread.call('losses', []),
    test: () => thread.call('test', []),
    close: () => thread.close(),
  };
}

class StoreThread {
  readonly #options: store.StoreOptions;
  readonly #file: FileOptions;
  #thread: Worker | null = null;
  /** The resolvers of the calls that the thread has not answered yet, in the order of the calls. */
  #sent: ((result: Result) => void)[] = [];
  #isClosed = false;
  /** Why calls are refused until the thread answers or a new one may start; null if calls are sent to the thread. */
  #refusal: string | null = null;

  constructor(options: store.StoreOptions) {
    this.#options = options;
    const path = store.fileIn(options.store);
    this.#file = { path, owner: options.as === 'visitor' ? null : randomUUID().slice(0, 8) };
  }

  /** `moved`: buffers that go to the thread. The call may still take effect after it has been rejected. */
  async call<M extends Method>(method: M, args: Args<M>, moved: ArrayBuffer[] = []): Promise<ReturnType<Queries[M]>> {
    const refusal = this.#isClosed ? 'it is closed' : this.#refusal;
    if (refusal !== null) throw this.#error(refusal);
    const { promise, resolve } = this.#send(method, args, moved);
    const cancel = deadline(store.CALL_LIMIT_MS, () => {
      const failure = `it did not answer within ${store.CALL_LIMIT_MS} ms`;
      this.#refusal = failure;
      this.#options.onProblem(this.#error(failure).message);
      resolve({ failure });
    });
    const result = await promise;
    cancel();
    if ('failure' in result) throw this.#error(result.failure);
    return result.value as ReturnType<Queries[M]>;
  }

  /** Resolves with whatever the thread answers, however late. */
  #send<M extends Method>(method: M, args: Args<M>, moved: ArrayBuffer[]) {
    this.#thread ??= this.#start();
    this.#thread.postMessage({ method, args }, moved);
    const answer = Promise.withResolvers<Result>();
    this.#sent.push(answer.resolve);
    return answer;
  }

  /** Closes the store after all calls. A thread that hangs does not end, so the process cannot end by itself. */
  async close(): Promise<void> {
    this.#isClosed = true;
    if (this.#thread === null) return;
    this.#thread.postMessage(null);
    await once(this.#thread, 'exit', { signal: AbortSignal.timeout(store.TIME_LIMIT_MS) }).catch(ignore);
  }

  #start(): Worker {
    const thread = new Worker(threadSource, {
      workerData: this.#file,
      eval: typeof threadSource === 'string',
      name: 'deferred',
      resourceLimits: { maxOldGenerationSizeMb: 32, maxYoungGenerationSizeMb: 2 }, // records are not in its heap
      // The environment holds secrets, so the thread gets none. Only the log's lines may be on the standard streams.
      env: {},
      execArgv: ['--disable-warning=ExperimentalWarning'],
    });
    thread.on('message', (report: Report) => this.#onReport(report));
    thread.on('error', (error) => {
      const why = `its thread has ended (${error})`;
      this.#onReport({ results: this.#sent.map(() => ({ failure: why })), problem: why, losses: [] });
      this.#refusal = why;
      setTimeout(() => {
        this.#refusal = null;
      }, RESTART_MS).unref();
    });
    thread.on('exit', () => {
      threads.delete(THREAD);
      this.#thread = null;
    });
    // The call shows whether the thread hangs: it finds nothing.
    threads.set(THREAD, () => (this.#isClosed ? once(thread, 'exit') : this.#send('find', ['', 0], []).promise));
    return thread;
  }

  #onReport({ results, problem, losses }: Report): void {
    this.#refusal = null;
    for (const loss of losses) this.#options.onLoss(...loss);
    this.#options.onProblem(problem && this.#error(problem).message);
    for (const [at, resolve] of this.#sent.splice(0, results.length).entries()) resolve(results[at] ?? { failure: '' });
  }

  #error(problem: string): Error {
    return new Error(`${dirname(this.#file.path)}: ${problem}`);
  }
}
