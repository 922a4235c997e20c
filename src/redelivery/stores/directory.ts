// The store of deferred deliveries in a directory, for one process on a local file system: one file for each, whose names
// and order of writing are in record-files.ts. In memory are ids and sizes alone.
import type { Buffer } from 'node:buffer';
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { BoundedCalls } from '../bounded-calls.ts';
import { DirectoryAccess } from './directory-access.ts';
import { FolderReader } from './folder-reader.ts';
import { Batches } from './folder-sync.ts';
import { Jobs } from './jobs.ts';
import { NO_ID, RecordFiles } from './record-files.ts';
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

/** Resolves at once: whether the directory can be used is found out meanwhile, and told by `onChange`. */
export async function createDirectoryStore(options: StoreOptions, onChange: OnStoreChange): Promise<DeferredStore> {
  const store = new DirectoryStore(options, onChange);
  await store.ready;
  return store;
}

class DirectoryStore implements DeferredStore {
  readonly #options: StoreOptions;
  /** Two at a time: node has four threads for all files and for DNS, and a sync that never returns holds one for ever. */
  readonly #calls = new BoundedCalls('the file system', () => 2);
  readonly #jobs = new Jobs(this.#calls);
  readonly #access: DirectoryAccess;
  readonly #files: RecordFiles;
  readonly #reader: FolderReader;
  readonly #usage = new Usage();
  /** The one claim that an id has. */
  readonly #claims = new Map<string, Claim>();
  /** What waits to be stored is synced together. Nobody waits for a removal, so it must not hold that up. */
  readonly #batches = new Batches(() => this.#sync());
  readonly #removals = new Batches(() => this.#sync());
  /** Drops that no listing has passed on yet. */
  #untold: string[] = [];

  constructor(options: StoreOptions, onChange: OnStoreChange) {
    const folder = join(options.store, FOLDER);
    const calls = this.#calls;
    this.#options = options;
    this.#files = new RecordFiles(folder, options.mostBytes);
    this.#reader = new FolderReader(folder, calls, options);
    // Before anything is written: what is half-written now is of a process that is dead.
    const onHeld = async () => (this.#isOwner ? await this.#learnNames() : undefined);
    this.#access = new DirectoryAccess({ folder, as: options.as, calls, onChange, onHeld });
  }

  /** Settled after the first try to use the directory. */
  get ready(): Promise<void> {
    return this.#access.ready;
  }

  add(id: string, record: StoredBytes, over: 'nothing' | 'existing'): Promise<Added> {
    return this.#alone(id, () => this.#add(id, record, over));
  }

  list(): Promise<Listing> {
    return this.#access.use(async () => {
      await this.#calls.run(() => this.#access.checked());
      const { entries, dropped } = await this.#jobs.list((touched) => this.#list(touched));
      if (this.#access.fails && this.#isOwner) await this.#probe();
      return { entries, dropped: [...this.#untold.splice(0), ...dropped] };
    });
  }

  claim(id: string): Promise<Claimed> {
    return this.#alone(id, async () => {
      await this.#calls.run(() => this.#access.checked());
      const record = await this.#calls.run(() => this.#files.read(id));
      if (record === 'absent') return { kind: this.#usage.delete(id) ? 'dropped' : 'removed' };
      const progress = record === 'unfit' ? null : await this.#calls.run(() => this.#files.readProgress(id));
      const claim = { id, token: randomUUID() };
      this.#claims.set(id, claim);
      return { kind: 'claimed', claim, record, progress };
    });
  }

  release(claim: Claim, progress: Buffer | null): Promise<void> {
    const { id } = claim;
    return this.#alone(id, async () => {
      if (!this.#holds(claim)) return;
      this.#claims.delete(id);
      if (progress !== null) await this.#change(id, () => this.#files.writeProgress(id, progress));
    });
  }

  remove(claim: Claim): Promise<boolean> {
    const { id } = claim;
    return this.#alone(id, async () => {
      if (!this.#holds(claim)) return false;
      const removal = async () => {
        await this.#files.unlink(id);
        // Within the change, which may come through late: what we have removed is no drop.
        this.#usage.delete(id);
        this.#claims.delete(id);
      };
      // Synced, since a record that comes back when the power fails is sent again.
      await this.#removals.add(() => this.#change(id, removal));
      return true;
    });
  }

  read(id: string): Promise<StoredBytes | null> {
    return this.#access.use(async () => {
      const found = await this.#calls.run(() => this.#files.read(id));
      return typeof found === 'string' ? null : found;
    });
  }

  drop(id: string): Promise<boolean> {
    return this.#access.use(() => this.#calls.run(() => this.#files.unlink(id)));
  }

  async close(): Promise<void> {
    this.#claims.clear();
    this.#access.close();
  }

  get #isOwner(): boolean {
    return this.#options.as === 'owner';
  }

  #holds({ id, token }: Claim): boolean {
    return this.#claims.get(id)?.token === token;
  }

  #alone<T>(id: string, job: () => Promise<T>): Promise<T> {
    return this.#jobs.alone(id, () => this.#access.use(job));
  }

  async #change<T>(id: string, job: () => Promise<T>): Promise<T> {
    const changed = await this.#jobs.change(id, job);
    this.#access.works();
    return changed;
  }

  #sync(): Promise<void> {
    return this.#calls.run(async () => {
      const opened = await this.#access.checked();
      await opened.sync();
    });
  }

  /** Looks whether it works again. */
  async #probe(): Promise<void> {
    await this.#change(NO_ID, () => this.#files.probe()).catch((error: unknown) => this.#access.fail(error));
  }

  // --- adding

  async #add(id: string, record: StoredBytes, over: 'nothing' | 'existing'): Promise<Added> {
    const exists = await this.#calls.run(() => this.#files.isThere(id));
    if (exists && over === 'nothing') {
      await this.#batches.add(async () => {}); // it may lie there without its sync, which failed or was too slow
      return 'known';
    }
    if (!exists && this.#usage.delete(id)) this.#untold.push(id);
    const before = this.#usage.of(id);
    const bytes = countedBytes(record);
    if (this.#usage.bytes - before + bytes > this.#options.maxBytes) return 'full';
    if (before === 0 && this.#usage.withBodyOf(id) >= MAX_OF_ONE_BODY) return 'crowded';
    this.#usage.set(id, bytes);
    this.#claims.delete(id); // of what it replaces, or of what somebody has dropped
    try {
      await this.#batches.add(() => this.#change(id, () => this.#files.write(id, record)));
    } catch (error) {
      if (before === 0) this.#usage.delete(id);
      else this.#usage.set(id, before);
      throw error;
    }
    return 'stored';
  }

  // --- listing

  /** Nothing waits for more than the names: where there are tens of thousands, their sizes take seconds. */
  async #learnNames(): Promise<void> {
    await this.#jobs.list(async (touched) => {
      const before = this.#usage.ids();
      const { names, isWhole } = await this.#reader.names();
      const why = isWhole ? 'clean' : 'look';
      for (const name of names) if (!ID.test(name)) await this.#reader.noteOther(name, names, why);
      if (isWhole) this.#untold.push(...this.#gone(before, names, touched));
      for (const name of names) if (ID.test(name) && !touched.has(name)) this.#usage.name(name);
    });
  }

  async #list(touched: ReadonlySet<string>): Promise<Listing> {
    const before = this.#usage.ids();
    const { names, isWhole } = await this.#reader.names();
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
        if (entry === 'foreign' && !touched.has(id)) this.#usage.delete(id);
        if (typeof entry === 'string') continue;
        entries.push(entry);
        if (this.#isOwner && !touched.has(id)) this.#usage.set(id, entry.bytes);
      }
    };
    await Promise.all([read(), read()]);
    return { entries, dropped: isWhole ? this.#gone(before, names, touched) : [] };
  }

  #gone(before: readonly string[], names: ReadonlySet<string>, touched: ReadonlySet<string>): string[] {
    return before.filter((id) => !names.has(id) && !touched.has(id) && this.#usage.delete(id));
  }

  /** Deliveries that were listed before are not looked at again: there may be tens of thousands, every ten seconds. */
  #knownEntry(id: string): Entry {
    return { id, bytes: this.#usage.of(id), at: Date.now(), progress: null };
  }
}
