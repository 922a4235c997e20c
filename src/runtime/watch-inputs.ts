// Watches the inputs and decides when they become a ruleset. All files are read if one changes, and every ten seconds.
// A change must read the same twice before it counts, so a half-written file never does. Checks never run in parallel.
import { unwatchFile, watchFile } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ReloadOutcome } from '../admin/snapshot.ts';
import { onePerTurn } from '../base/deadline.ts';
import { type Inputs, placesOf, readInputs, sameInputs, settled } from './inputs.ts';
import type { Lifecycle } from './lifecycle.ts';
import type { LiveRuleset } from './live-ruleset.ts';
import type { Effects } from './services.ts';

/** Milliseconds between two checks of times and sizes. To read two files each second triples an idle proxy's CPU. */
const POLL_MS = 1000;
/** Milliseconds between two checks of the contents: NFS may show old times for a minute. */
const READ_MS = 10_000;
const SETTLE_MS = 250;
/** The most readings of files that keep changing: then the others count, and these wait for the next check. */
const MAX_TRIES = 8;

interface ReloaderParts extends Pick<Effects, 'configFile' | 'env'> {
  readonly live: LiveRuleset;
  readonly lifecycle: Lifecycle;
}

export class Reloader {
  readonly #parts: ReloaderParts;
  #seen: Inputs;
  /** True once a check was asked for that applies the inputs even if nothing changed. */
  #forced = false;
  #timer: NodeJS.Timeout | undefined;
  #polled: readonly string[] = [];
  #stopped = false;

  /** `first`: the inputs of the ruleset that runs now. */
  constructor(first: Inputs, parts: ReloaderParts) {
    this.#seen = first;
    this.#parts = parts;
  }

  /** The first check is soon: a poll does not see a change between the first reading and `start`. */
  start(): void {
    this.#poll();
    this.#checkAfter(POLL_MS);
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
    this.#poll();
  }

  /** Reads all files now, and applies them even if nothing changed; for SIGHUP and `/-/reload`. */
  force(): Promise<ReloadOutcome> {
    this.#forced = true;
    return this.#check();
  }

  readonly #onChange = (): void => void this.#check();

  /** Calls before a check begins share it. */
  readonly #check = onePerTurn(async (): Promise<ReloadOutcome> => {
    const when = this.#forced ? 'always' : 'if changed';
    const before = this.#seen;
    this.#forced = false;
    clearTimeout(this.#timer);
    const outcome = await this.#readAndApply(when);
    this.#checkAfter(this.#seen === before ? READ_MS : POLL_MS);
    return outcome;
  });

  #checkAfter(milliseconds: number): void {
    if (!this.#stopped) this.#timer = setTimeout(() => this.#check(), milliseconds).unref();
  }

  async #readAndApply(when: 'always' | 'if changed'): Promise<ReloadOutcome> {
    const { live, configFile, env } = this.#parts;
    try {
      let first: Inputs;
      let second = await readInputs(configFile, env, this.#seen);
      if (sameInputs(second, this.#seen)) return when === 'always' ? this.#apply(second) : { kind: 'applied' };
      let tries = 0;
      do {
        first = second;
        await sleep(SETTLE_MS);
        second = await readInputs(configFile, env, first);
      } while (!sameInputs(first, second) && ++tries < MAX_TRIES);
      return this.#apply(settled(this.#seen, first, second));
    } catch (error) {
      return live.fail(error instanceof Error ? error.message : String(error));
    }
  }

  #apply(inputs: Inputs): ReloadOutcome {
    this.#seen = inputs;
    const { live, lifecycle } = this.#parts;
    const outcome = live.apply(inputs);
    // Recorded even if no probe asks now: a proxy that was ready once stays ready.
    void lifecycle.readiness();
    this.#poll();
    return outcome;
  }

  /** Polls the files of the inputs that were seen last, and no others; none once it has stopped. */
  #poll(): void {
    for (const path of this.#polled) unwatchFile(path, this.#onChange);
    this.#polled = this.#stopped ? [] : placesOf(this.#seen);
    for (const path of this.#polled) watchFile(path, { persistent: false, interval: POLL_MS }, this.#onChange);
  }
}
