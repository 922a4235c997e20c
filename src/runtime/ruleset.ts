// A ruleset: one policy with all that it was made of. Built whole from inputs into fresh values, or not at all; a reload
// replaces one reference to it.

import type { Config } from '../config/config.ts';
import type { LoadedConfig } from '../config/load.ts';
import type { Policy, Secret } from '../core/policy.ts';
import type { SecretMaterial } from '../secrets/material.ts';
import { rotate } from '../secrets/rotation.ts';
import { buildTls, type Tls } from './certificates.ts';
import type { Inputs } from './inputs.ts';
import { buildPolicy } from './policy.ts';

export interface Ruleset extends Tls {
  readonly loaded: LoadedConfig;
  readonly materials: readonly SecretMaterial[];
  readonly policy: Policy;
  /** What is worth a warning, beside the config's own and the secrets'. */
  readonly warnings: readonly string[];
}

export interface Built {
  readonly ruleset: Ruleset;
  /** What did not come in although it should have: what was good before stays in its place. */
  readonly failures: readonly string[];
}

/** The inputs can't become a policy; the message says why. */
export class RulesetError extends Error {
  override readonly name = 'RulesetError';
}

/**
 * `held` is what runs now, null at start. A broken config file or TLS file keeps its old part and is a failure, while
 * secrets go on rotating. Throws RulesetError only at start, where there is no old part.
 */
export function buildRuleset(inputs: Inputs, held: Ruleset | null, now: number): Built {
  const { secrets, failures } = rotate(held?.materials ?? [], inputs.readings, now);
  const tls = buildTls(inputs.loaded.config, inputs.tlsFiles, { running: held, now });
  if (held === null && tls.failures.length > 0) throw new RulesetError(tls.failures.join('\n'));
  const { listenTls, upstreamTls } = tls;
  return {
    ruleset: rulesetOf({
      loaded: inputs.loaded,
      materials: secrets,
      listenTls,
      upstreamTls,
      warnings: [...inputs.fixed, ...tls.warnings],
    }),
    failures: [...(inputs.broken ?? []), ...failures, ...tls.failures],
  };
}

/** The same ruleset with other secrets, as after `retire-previous`. */
export function withSecrets(ruleset: Ruleset, materials: readonly SecretMaterial[]): Ruleset {
  return rulesetOf({ ...ruleset, materials });
}

function rulesetOf(parts: Omit<Ruleset, 'policy'>): Ruleset {
  const secrets: Secret[] = [];
  for (const { id, key, notBefore, notAfter } of parts.materials) {
    if (key !== null) secrets.push({ id, key, notBefore, notAfter });
  }
  return Object.freeze({ ...parts, policy: buildPolicy(parts.loaded.config, secrets) });
}

/**
 * What a running process cannot take over: sockets that it holds, and what was made with them. The chart restarts its pods for
 * exactly these (helm/templates/_config.tpl, held to this list by a test).
 */
export const RESTART_ONLY: readonly (readonly [key: string, read: (config: Config) => unknown])[] = [
  ['listen.host', ({ listen }) => listen.host],
  ['listen.port', ({ listen }) => listen.port],
  ['listen.tls', ({ listen }) => listen.tls === null],
  ['admin.host', ({ admin }) => admin.host],
  ['admin.port', ({ admin }) => admin.port],
  ['upstream.url', ({ upstream }) => upstream.url],
  ['upstream.connections', ({ upstream }) => upstream.connections],
  ['upstream.connectTimeout', ({ upstream }) => upstream.connectTimeout],
  ['upstream.retryConnectFor', ({ upstream }) => upstream.retryConnectFor],
  ['upstream.keepAlive', ({ upstream }) => upstream.keepAlive],
  ['once', ({ once }) => JSON.stringify(once)],
];

/** Keys that differ but only a restart can change. The rest of a reload takes effect all the same. */
export function restartNeeded(running: Config, next: Config): readonly string[] {
  return RESTART_ONLY.filter(([, read]) => read(running) !== read(next)).map(([key]) => key);
}
