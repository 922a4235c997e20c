// The ruleset in force: one reference that a reload swaps. The services adopt the new one; log and metrics report the
// reload. A look at the files each second finds changes; one counts only once two readings agree on it.
import { onePerTurn } from '../base/deadline.ts';
import type { Config } from '../config/config.ts';
import type { Reload } from '../facts.ts';
import { failuresOf, isPreviousValue, retirePrevious, usable } from '../secrets/rotation.ts';
import { type Inputs, inputsWithout, sameInputs, settledInputs, stampOf } from './inputs.ts';
import { buildPolicy, buildRuleset, newProblems, RESTART_ONLY, type Ruleset } from './ruleset.ts';
import { createServices, type Effects, type Services } from './services.ts';

const READ_EACH_MS = 1000;
/** The reloads whose times are kept. */
const KEPT = 16;

/** The ruleset in force and the services that follow it. A part that fails to reload keeps its old version. */
export class LiveRuleset {
  /** The ruleset in force. Only this class replaces it. */
  ruleset: Ruleset;
  readonly services: Services;
  onReload = (): void => {};
  readonly #effects: Effects;
  readonly #atStart: Config;
  /** The inputs of the last ruleset that all parts have adopted. */
  #seen: Inputs;
  /** The changed inputs, if they could not be put into use: a change of what they name is seen, too. */
  #unused: readonly Inputs[] = [];
  /** True if the next check must apply the inputs even if nothing changed. */
  #forced = false;
  #nextCheck: NodeJS.Timeout | undefined;
  #isStopped = false;
  /** The stamp of the files at their last reading, so that unchanged ones are not read each second. */
  #stamp = '';
  /** The warnings that apply now, as JSON: each is logged only once while it applies. */
  #logged: ReadonlySet<string> = new Set();
  /** The last reload. Written only by this class. */
  lastReload: Reload | null = null;
  /** When the last few that worked and had something new were, the latest first: some problem may have begun with each. */
  reloads: readonly number[] = [];
  /** When the last reload that worked, or the start, was. */
  lastSuccess = Date.now();

  /** Throws ConfigError if the inputs can't become a ruleset. */
  constructor(inputs: Inputs, effects: Effects) {
    this.#effects = effects;
    this.#seen = inputs;
    this.ruleset = buildRuleset(inputs, null);
    this.#atStart = this.ruleset.loaded.config;
    this.services = createServices(this.ruleset, () => this.ruleset, effects);
    this.#logWarnings();
  }

  /** Has all files read again in a second, and so on. */
  watch(): void {
    this.#nextCheck = setTimeout(() => void this.#check(), READ_EACH_MS).unref();
  }

  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#nextCheck);
  }

  /** Reads all files now, and applies them even if nothing changed: for SIGHUP and /-/reload. Returns the problems. */
  reload(): Promise<readonly string[]> {
    this.#forced = true;
    return this.#check();
  }

  /** Reads the inputs and applies them. Checks never run in parallel: all calls during one share the next. */
  readonly #check = onePerTurn(async (): Promise<readonly string[]> => {
    clearTimeout(this.#nextCheck);
    const when = this.#forced ? 'always' : 'if changed';
    this.#forced = false;
    const failures = await this.#readAndApply(when).catch((error: unknown) => {
      this.#forced = true; // a part may be applied
      const why = `the reload broke off: ${error}`;
      return this.lastReload?.error === why ? [why] : this.#endReload([why]);
    });
    if (!this.#isStopped) this.watch();
    return failures;
  });

  async #readAndApply(when: 'always' | 'if changed'): Promise<readonly string[]> {
    const { configFile, env } = this.#effects;
    const stamp = (await Promise.all([this.#seen, ...this.#unused].map(stampOf))).join();
    // What could not be read is tried again, whatever a look tells of it.
    const isWhole = this.ruleset.failures.length === this.#unused.length;
    if (when === 'if changed' && isWhole && stamp === this.#stamp) return [];
    this.#stamp = stamp;
    const read = await settledInputs(configFile, env, this.#seen);
    const changed = read.loaded === this.#seen.loaded ? null : buildRuleset(read, this.ruleset);
    const problems = changed === null ? [] : newProblems(changed, this.ruleset);
    this.#unused = problems.length === 0 ? [] : [read];
    // A changed configuration is used whole or not at all: else a mistyped directory would end the secrets in use.
    const used = problems.length === 0 ? read : await inputsWithout(problems.join('\n'), env, this.#seen);
    // What keeps changing is found again each second, and told once.
    if (when === 'if changed' && sameInputs(used, this.#seen)) return [];
    // Once this has stopped, the services are closed, and nothing may open them again.
    return this.#isStopped ? [] : this.#apply(changed?.inputs === used ? changed : buildRuleset(used, this.ruleset));
  }

  /** Puts a ruleset into use. An unusable part has its old version, and the reload counts as failed. */
  #apply(next: Ruleset): readonly string[] {
    const isNew = !sameInputs(next.inputs, this.#seen);
    this.#adopt(next);
    this.#seen = next.inputs;
    const keys = this.awaitingRestart;
    if (keys.length > 0) this.services.log.warn('these changes need a restart', { keys });
    const failures = this.#endReload(this.ruleset.failures);
    if (isNew && failures.length === 0) this.reloads = [this.lastSuccess, ...this.reloads.slice(0, KEPT - 1)];
    this.onReload();
    return failures;
  }

  /** Reports that a reload has worked, or why a part of the inputs is not in use. */
  #endReload(failures: readonly string[]): readonly string[] {
    const { log, metrics } = this.services;
    const { loaded, policy } = this.ruleset;
    const problems = failures.flatMap((failure) => failure.split('\n'));
    const failed = problems.length > 0;
    const ofSecrets = failuresOf(this.ruleset.materials);
    const refused = failures.some((failure) => !ofSecrets.includes(failure));
    this.lastReload = { ok: !failed, at: Date.now(), error: failed ? problems.join('\n') : null, refused };
    metrics.reloads[failed ? 'failure' : 'success'].value++;
    if (!failed) this.lastSuccess = Date.now();
    const secrets = policy.keyring.secrets.map(({ id }) => id);
    if (failed) log.error('reload failed: what could not be loaded stays in use as before', { problems });
    else log.info('reloaded', { config_sha256: loaded.sha256, secrets });
    return problems;
  }

  /**
   * Ends every overlap, after a reload. `read`: the ids of the secrets that were read. `unread`: sources that could not be
   * read whole, one line each; a new value that is found in one later begins another overlap.
   */
  async retirePrevious() {
    const failures = await this.reload();
    const brokeOff = this.#forced ? failures : []; // nothing that it read is surely in use
    const now = Date.now();
    const ended = this.ruleset.materials.filter((secret) => isPreviousValue(secret) && now < (secret.notAfter ?? 0));
    const materials = retirePrevious(this.ruleset.materials, now);
    const policy = buildPolicy(this.ruleset.loaded.config, usable(materials));
    this.#adopt(Object.freeze({ ...this.ruleset, materials, policy }));
    const values = usable(materials).filter((secret) => !isPreviousValue(secret));
    const unread = [
      ...brokeOff,
      ...this.#seen.broken.map((problem) => `the configuration: ${problem}`),
      ...values.flatMap(({ source, problem }) => (problem === null ? [] : `${source}: ${problem}`)),
    ];
    const read = brokeOff.length > 0 ? [] : values.filter(({ problem }) => problem === null).map(({ id }) => id);
    const report = { read, unread: [...new Set(unread)] };
    this.services.log.warn('replaced values were retired', { secrets: ended.map(({ id }) => id), ...report });
    return { retired: ended.length, ...report };
  }

  #adopt(next: Ruleset): void {
    const before = this.ruleset;
    this.ruleset = next;
    this.services.adopt(next, before);
    this.#logWarnings();
  }

  get awaitingRestart(): readonly string[] {
    const { config } = this.ruleset.loaded;
    // A store that was not open yet opens with the settings in force.
    const { once, redelivery } = this.services;
    const stores = { once: once()?.settings ?? config.once, redelivery: redelivery.inUse ?? config.redelivery };
    const running = { ...this.#atStart, ...stores };
    return RESTART_ONLY.filter(([, read]) => read(running) !== read(config)).map(([key]) => key);
  }

  /** Logs new warnings. diagnosis-log.ts logs those that come with time, such as that a secret is about to expire. */
  #logWarnings(): void {
    const { loaded, warnings, materials } = this.ruleset;
    const current = [
      ...loaded.warnings.map(({ key, message: problem }) => ({ key, problem })),
      ...warnings.map((problem) => ({ problem })),
      ...materials.flatMap(({ id, source, warnings }) => warnings.map((problem) => ({ secret: id, source, problem }))),
    ];
    const before = this.#logged;
    this.#logged = new Set(current.map((fields) => JSON.stringify(fields)));
    for (const fields of current) {
      if (!before.has(JSON.stringify(fields))) this.services.log.warn('configuration warning', fields);
    }
  }
}
