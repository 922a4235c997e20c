// Watches the inputs and decides when they become a ruleset. All files are read if one changes, and every ten seconds.
// A change must read the same twice before it counts, so a half-written file never does. Checks never run in parallel.
import { unwatchFile, watchFile } from 'node:fs';
import type { ReloadOutcome } from '../admin/status-snapshot.ts';
import { type Inputs, placesOf, readInputs, sameInputs } from './inputs.ts';
import type { LiveRuleset } from './live-ruleset.ts';
import type { Readiness } from './readiness.ts';
import type { Effects } from './services.ts';

/** Milliseconds between two checks of times and sizes. To read two files each second triples an idle proxy's CPU. */
const POLL_MS = 1000;
/** Milliseconds between two checks of the contents: NFS may show old times for a minute. */
const READ_MS = 10_000;
const SETTLE_MS = 250;
/** The most readings of files that keep changing; then they wait for the next check. */
const MAX_TRIES = 8;

interface ReloaderParts extends Pick<Effects, 'configFile' | 'env'> {
  readonly live: LiveRuleset;
  readonly readiness: Readiness;
}

export class Reloader {
  readonly #parts: ReloaderParts;
  #seen: Inputs;
  /** All calls of `force` before a check begins share it. */
  #asked: PromiseWithResolvers<ReloadOutcome> | null = null;
  #timer: NodeJS.Timeout | undefined;
  /** Milliseconds to the next check. The first is soon: a poll does not see a change between the first reading and `start`. */
  #pause = POLL_MS;
  #checking = false;
  #polled: readonly string[] = [];
  #stopped = false;

  /** `first`: the inputs of the ruleset that runs now. */
  constructor(first: Inputs, parts: ReloaderParts) {
    this.#seen = first;
    this.#parts = parts;
  }

  start(): void {
    this.#poll();
    this.#checkIn(POLL_MS);
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
    this.#poll();
  }

  /** Reads all files now, and applies them even if nothing changed; for SIGHUP and `/-/reload`. */
  force(): Promise<ReloadOutcome> {
    this.#asked ??= Promise.withResolvers();
    this.#checkIn(0);
    return this.#asked.promise;
  }

  readonly #onChange = (): void => this.#checkIn(0);

  /** Makes the next check earlier, never later. A check in progress starts the timer when it ends. */
  #checkIn(milliseconds: number): void {
    this.#pause = Math.min(this.#pause, milliseconds);
    if (this.#checking || this.#stopped) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#check(), this.#pause).unref();
  }

  async #check(): Promise<void> {
    const asked = this.#asked;
    const before = this.#seen;
    this.#asked = null;
    this.#pause = READ_MS;
    this.#checking = true;
    const outcome = await this.#readAndApply(asked === null ? 'if changed' : 'always');
    this.#checking = false;
    asked?.resolve(outcome);
    this.#checkIn(this.#seen === before ? READ_MS : POLL_MS);
  }

  async #readAndApply(when: 'always' | 'if changed'): Promise<ReloadOutcome> {
    const { live, configFile, env } = this.#parts;
    try {
      let inputs = await readInputs(configFile, env, this.#seen);
      if (sameInputs(inputs, this.#seen)) return when === 'always' ? this.#apply(inputs) : { kind: 'applied' };
      for (let tries = 0; tries < MAX_TRIES; tries++) {
        await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
        const again = await readInputs(configFile, env, inputs);
        if (sameInputs(again, inputs)) return this.#apply(again);
        inputs = again;
      }
      return live.endReload(['the files keep changing while they are being read']);
    } catch (error) {
      return live.endReload([error instanceof Error ? error.message : String(error)]);
    }
  }

  #apply(inputs: Inputs): ReloadOutcome {
    this.#seen = inputs;
    const outcome = this.#parts.live.apply(inputs);
    // Recorded even if no probe asks now: a proxy that was ready once stays ready.
    void this.#parts.readiness.check();
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
