// The store of deferred deliveries in a directory, for one process on a local file system. Each delivery is a file, which
// is written beside, synced and renamed; its progress is a second, small one. In memory are ids and sizes alone.
//
//   STORE/deferred/lock            held while the process lives
//   STORE/deferred/ID              8 digits: the length of the head; LF; head; body
//   STORE/deferred/ID.progress     absent before the first failure
//   ….new                          being written; what a crash leaves of these is removed at the start
//
// The file is long because the order of file calls, which is what survives a crash, is read in one piece.
import { Buffer } from 'node:buffer';
import { randomUUID } from 'node:crypto';
import { rename } from 'node:fs/promises';
import { join } from 'node:path';
import { codeOf } from '../base/errors.ts';
import { Batches } from './batches.ts';
import { BoundedCalls } from './bounded-calls.ts';
import { DeferredFolder } from './deferred-folder.ts';
import { isThere, NEW, PREAMBLE, PROGRESS, readMeasured, readSmall, unlinkIfThere, writeBeside } from './files.ts';
import { FolderReader } from './folder-reader.ts';
import {
  type Added,
  type Claim,
  type Claimed,
  countedBytes,
  type DeferredStore,
  type Entry,
  ID,
  type Listing,
  MAX_OF_ONE_BODY,
  mostEntries,
  type OnStoreChange,
  type StoredBytes,
  type StoreOptions,
} from './store.ts';
import { Usage } from './usage.ts';

const FOLDER = 'deferred';
const RETRY_MS = 2000;
/** Names a file that is only ever half-written, so that a start removes what a crash leaves of it. */
const NO_ID = `${'0'.repeat(16)}-${'0'.repeat(32)}`;

/** Resolves at once: whether the directory can be used is found out meanwhile, and told by `onChange`. */
export async function createDirectoryStore(options: StoreOptions, onChange: OnStoreChange): Promise<DeferredStore> {
  const store = new DirectoryStore(options, onChange);
  await store.ready;
  return store;
}

class DirectoryStore implements DeferredStore {
  /** Settled after the first try to use the directory. */
  readonly ready: Promise<void>;
  readonly #options: StoreOptions;
  readonly #onChange: OnStoreChange;
  readonly #folder: string;
  /** Two at a time: node has four threads for all files and for DNS, and a sync that never returns holds one for ever. */
  readonly #calls = new BoundedCalls('the file system', () => 2);
  readonly #reader: FolderReader;
  /** Null while it can't be used. */
  #opened: DeferredFolder | null = null;
  #failure = 'not opened yet';
  #retry: NodeJS.Timeout | undefined;
  #closed = false;
  readonly #usage = new Usage();
  /** By id. */
  readonly #atWork = new Map<string, Promise<unknown>>();
  /** Changes that are under way, also those that took too long. */
  readonly #unsettled = new Set<string>();
  /** The one claim that an id has. */
  readonly #claims = new Map<string, Claim>();
  /** What waits to be stored is synced together. */
  readonly #batches = new Batches(() =>
    this.#calls.run(async () => {
      const opened = await this.#checked();
      await opened.sync();
    }),
  );
  /** Gone while the folder could not be used. */
  #droppedBefore: string[] = [];

  constructor(options: StoreOptions, onChange: OnStoreChange) {
    this.#options = options;
    this.#onChange = onChange;
    this.#folder = join(options.store, FOLDER);
    this.#reader = new FolderReader(this.#folder, this.#calls, options);
    this.ready = this.#open();
  }

  add(id: string, record: StoredBytes, over: 'nothing' | 'existing'): Promise<Added> {
    return this.#alone(id, () => this.#add(id, record, over));
  }

  list(): Promise<Listing> {
    return this.#work(async () => {
      await this.#calls.run(() => this.#checked());
      const { entries, dropped } = await this.#list();
      if (this.#failure !== '' && this.#options.as === 'owner') await this.#probe();
      return { entries, dropped: [...this.#droppedBefore.splice(0), ...dropped] };
    });
  }

  claim(id: string): Promise<Claimed> {
    return this.#alone(id, async () => {
      await this.#calls.run(() => this.#checked());
      const found = await this.#calls.run(() => this.#readRecord(id));
      if (found === 'absent') return { kind: this.#usage.delete(id) ? 'dropped' : 'removed' };
      if (found === 'unfit') return { kind: found };
      const progress = await this.#calls.run(() => readSmall(this.#path(id, PROGRESS)));
      const claim = { id, token: randomUUID() };
      this.#claims.set(id, claim);
      return { kind: 'claimed', claim, record: found, progress };
    });
  }

  release(claim: Claim, progress: Buffer | null): Promise<void> {
    const { id } = claim;
    return this.#alone(id, async () => {
      if (!this.#holds(claim)) return;
      this.#claims.delete(id);
      if (progress === null) return;
      await this.#change(id, async () => {
        await writeBeside(this.#path(id, PROGRESS), [progress]);
        await rename(this.#path(id, PROGRESS + NEW), this.#path(id, PROGRESS));
      });
    });
  }

  remove(claim: Claim): Promise<boolean> {
    const { id } = claim;
    return this.#alone(id, async () => {
      if (!this.#holds(claim)) return false;
      await this.#change(id, () => this.#unlink(id));
      this.#claims.delete(id);
      this.#usage.delete(id);
      return true;
    });
  }

  discard(id: string): Promise<boolean> {
    return this.#alone(id, async () => {
      if ((await this.#calls.run(() => this.#readRecord(id))) !== 'unfit') return false;
      await this.#change(id, () => this.#unlink(id));
      this.#usage.delete(id);
      return true;
    });
  }

  read(id: string): Promise<StoredBytes | null> {
    return this.#work(async () => {
      const found = await this.#calls.run(() => this.#readRecord(id));
      return typeof found === 'string' ? null : found;
    });
  }

  drop(id: string): Promise<boolean> {
    return this.#work(() => this.#calls.run(() => this.#unlink(id)));
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#retry);
    this.#claims.clear();
    const opened = this.#opened;
    this.#opened = null;
    await opened?.close();
  }

  #holds({ id, token }: Claim): boolean {
    return this.#claims.get(id)?.token === token;
  }

  // --- the folder

  async #open(): Promise<void> {
    const { as } = this.#options;
    let folder: DeferredFolder | null = null;
    try {
      folder = await DeferredFolder.open(this.#folder, as, this.#calls);
      // Before anything is written: what is half-written now is of a process that is dead.
      if (as === 'owner') await this.#learnNames();
      if (this.#closed) return await folder.close();
      this.#opened = folder;
      this.#works();
    } catch (error) {
      this.#fail(error);
      await this.#shut(folder);
    }
  }

  /** Throws, and gives the folder up, once another process may hold it. */
  async #checked(): Promise<DeferredFolder> {
    const opened = this.#opened;
    if (opened === null) throw new Error(this.#failure);
    if (await opened.isSame()) return opened;
    if (this.#opened === opened) await this.#shut(opened);
    throw new Error('it was removed or replaced');
  }

  /** Gives the folder up, and tries again later. */
  async #shut(folder: DeferredFolder | null): Promise<void> {
    this.#opened = null;
    if (!this.#closed) this.#retry = setTimeout(() => void this.#open(), RETRY_MS).unref();
    await folder?.close();
  }

  /** Jobs on one delivery follow each other: a removal must not meet what replaces it. */
  async #alone<T>(id: string, job: () => Promise<T>): Promise<T> {
    for (let other = this.#atWork.get(id); other !== undefined; other = this.#atWork.get(id)) {
      await other.catch(() => {});
    }
    if (this.#unsettled.has(id)) throw new Error('the file system has not answered yet');
    const work = this.#work(job);
    this.#atWork.set(id, work);
    try {
      return await work;
    } finally {
      this.#atWork.delete(id);
    }
  }

  /** A change that takes too long may still happen: until then nothing else is done with that delivery. */
  async #change<T>(id: string, job: () => Promise<T>): Promise<T> {
    const changed = await this.#calls.run(() => {
      const done = job();
      this.#unsettled.add(id);
      const settle = () => this.#unsettled.delete(id);
      done.then(settle, settle);
      return done;
    });
    this.#works();
    return changed;
  }

  /** Looks whether it works again: a disk that is full or read-only still lets everything be read. */
  async #probe(): Promise<void> {
    const write = async () => {
      await writeBeside(this.#path(NO_ID), [Buffer.from('probe')]);
      await unlinkIfThere(this.#path(NO_ID, NEW));
    };
    await this.#change(NO_ID, write).catch((error: unknown) => this.#fail(error));
  }

  #works(): void {
    if (this.#failure !== '') this.#onChange(null);
    this.#failure = '';
  }

  async #work<T>(job: () => Promise<T>): Promise<T> {
    if (this.#opened === null) throw new Error(this.#failure);
    try {
      return await job();
    } catch (error) {
      throw this.#fail(error);
    }
  }

  #fail(error: unknown): Error {
    const problem = error instanceof Error ? error.message : String(error);
    // A system's message repeats the path, which may be another process's.
    this.#failure = `${this.#folder}: ${/^E[A-Z]+$/.test(codeOf(error)) ? codeOf(error) : problem}`;
    if (!this.#closed) this.#onChange(this.#failure);
    return new Error(this.#failure);
  }

  #path(id: string, ending = ''): string {
    return join(this.#folder, id + ending);
  }

  // --- adding

  async #add(id: string, record: StoredBytes, over: 'nothing' | 'existing'): Promise<Added> {
    const exists = await this.#calls.run(() => isThere(this.#path(id)));
    if (exists && over === 'nothing') return 'known';
    const before = this.#usage.of(id);
    const bytes = countedBytes(record);
    if (this.#usage.bytes - before + bytes > this.#options.maxBytes) return 'full';
    if (before === 0 && this.#usage.withBodyOf(id) >= MAX_OF_ONE_BODY) return 'crowded';
    this.#usage.set(id, bytes);
    this.#claims.delete(id); // of what it replaces, or of what somebody has dropped
    try {
      await this.#batches.add(() => this.#writeRecord(id, record));
    } catch (error) {
      if (before === 0) this.#usage.delete(id);
      else this.#usage.set(id, before);
      throw error;
    }
    return 'stored';
  }

  #writeRecord(id: string, { head, body }: StoredBytes): Promise<void> {
    return this.#change(id, async () => {
      const preamble = Buffer.from(`${`${head.length}`.padStart(PREAMBLE - 1, '0')}\n`, 'latin1');
      await writeBeside(this.#path(id), [preamble, head, body]);
      await unlinkIfThere(this.#path(id, PROGRESS)); // of what it replaces
      await rename(this.#path(id, NEW), this.#path(id));
    });
  }

  // --- reading

  async #readRecord(id: string): Promise<StoredBytes | 'absent' | 'unfit'> {
    const bytes = await readMeasured(this.#path(id), PREAMBLE + this.#options.mostBytes());
    if (typeof bytes === 'string') return bytes;
    const preamble = bytes.toString('latin1', 0, PREAMBLE);
    const length = /^[0-9]{8}\n$/.test(preamble) ? Number.parseInt(preamble, 10) : Number.POSITIVE_INFINITY;
    const end = PREAMBLE + length;
    if (end > bytes.length) return 'unfit';
    return { head: bytes.subarray(PREAMBLE, end), body: bytes.subarray(end) };
  }

  async #unlink(id: string): Promise<boolean> {
    const was = await unlinkIfThere(this.#path(id));
    await unlinkIfThere(this.#path(id, PROGRESS));
    return was;
  }

  // --- listing

  /** Nothing waits for more than the names: where there are tens of thousands, their sizes take seconds. */
  async #learnNames(): Promise<void> {
    const names = await this.#reader.names();
    for (const name of names) if (!ID.test(name)) await this.#reader.noteOther(name, names, 'clean');
    this.#droppedBefore.push(...this.#gone(this.#usage.ids(), names));
    for (const name of names) if (ID.test(name)) this.#usage.name(name);
  }

  async #list(): Promise<Listing> {
    // But those at work: what is being stored has no name yet.
    const before = this.#usage.ids().filter((id) => !this.#atWork.has(id));
    const names = await this.#reader.names();
    const entries: Entry[] = [];
    const unsized: string[] = [];
    for (const name of names) {
      if (!ID.test(name)) await this.#reader.noteOther(name, names, 'look');
      else if (this.#usage.isSized(name)) entries.push(this.#knownEntry(name));
      else unsized.push(name);
    }
    const next = unsized.slice(0, Math.max(0, mostEntries(this.#options.maxBytes) - entries.length)).values();
    const read = async () => {
      for (const id of next) {
        const entry = await this.#reader.entry(id, names);
        if (entry === 'foreign') this.#usage.delete(id);
        if (typeof entry === 'string') continue;
        entries.push(entry);
        if (this.#options.as === 'owner' && !this.#atWork.has(id)) this.#usage.set(id, entry.bytes);
      }
    };
    await Promise.all([read(), read()]);
    return { entries, dropped: this.#gone(before, names) };
  }

  #gone(before: readonly string[], names: ReadonlySet<string>): string[] {
    return before.filter((id) => !names.has(id) && !this.#atWork.has(id) && this.#usage.delete(id));
  }

  /** What was listed before is not looked at again: there may be tens of thousands, every ten seconds. */
  #knownEntry(id: string): Entry {
    return { id, bytes: this.#usage.of(id), at: Date.now(), progress: null };
  }
}
