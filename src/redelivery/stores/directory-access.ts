// Access to the folder of deferred deliveries: opened, checked before each use, given up once another process may hold it,
// and tried again later.
import { join } from 'node:path';
import { codeOf } from '../../base/errors.ts';
import type { BoundedCalls } from '../bounded-calls.ts';
import { DeferredFolder } from './deferred-folder.ts';
import { DirectoryLock } from './directory-lock.ts';
import { LOCK } from './durable-files.ts';
import type { OnStoreChange, StoreOptions } from './store.ts';

const RETRY_MS = 2000;

export interface AccessOptions {
  readonly folder: string;
  readonly as: StoreOptions['as'];
  readonly calls: BoundedCalls;
  readonly onChange: OnStoreChange;
  /** Called once it is held, and before anything else is done in it. A rejection gives it up. */
  readonly onHeld: () => Promise<void>;
}

export class DirectoryAccess {
  /** Settled after the first try. */
  readonly ready: Promise<void>;
  readonly #options: AccessOptions;
  /** Null for a visitor. */
  readonly #lock: DirectoryLock | null;
  /** Null while it can't be used. */
  #opened: DeferredFolder | null = null;
  /** Empty if there is none. */
  #failure = 'not opened yet';
  #retry: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(options: AccessOptions) {
    const { as, folder, calls } = options;
    this.#options = options;
    this.#lock = as === 'owner' ? new DirectoryLock(join(folder, LOCK), calls) : null;
    this.ready = this.#open();
  }

  get fails(): boolean {
    return this.#failure !== '';
  }

  /** Runs a job with the folder, and reports its failure. */
  async use<T>(job: () => Promise<T>): Promise<T> {
    if (this.#opened === null) throw new Error(this.#failure);
    try {
      return await job();
    } catch (error) {
      throw this.fail(error);
    }
  }

  /** Throws, and gives the folder up, once another process may hold it. */
  async checked(): Promise<DeferredFolder> {
    const opened = this.#opened;
    if (opened === null) throw new Error(this.#failure);
    if (await opened.isSame()) return opened;
    if (this.#opened === opened) this.#giveUp(opened);
    throw new Error('it was removed or replaced');
  }

  works(): void {
    if (this.fails) this.#options.onChange(null);
    this.#failure = '';
  }

  fail(error: unknown): Error {
    const problem = error instanceof Error ? error.message : String(error);
    // A system's message repeats the path, which may be another process's.
    this.#failure = `${this.#options.folder}: ${/^E[A-Z]+$/.test(codeOf(error)) ? codeOf(error) : problem}`;
    if (!this.#closed) this.#options.onChange(this.#failure);
    return new Error(this.#failure);
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#retry);
    this.#opened?.close();
    this.#opened = null;
  }

  async #open(): Promise<void> {
    const { folder, calls, onHeld } = this.#options;
    let held: DeferredFolder | null = null;
    try {
      held = await DeferredFolder.open(folder, this.#lock, calls);
      await onHeld();
      if (this.#closed) return held.close();
      this.#opened = held;
      this.works();
    } catch (error) {
      this.fail(error);
      this.#giveUp(held);
    }
  }

  #giveUp(held: DeferredFolder | null): void {
    this.#opened = null;
    if (!this.#closed) this.#retry = setTimeout(() => void this.#open(), RETRY_MS).unref();
    held?.close();
  }
}
