// A ruleset: one policy with all that it was made of. Built whole from inputs into fresh values, or not at all; a reload
// replaces one reference to it.
import type { Config, LoadedConfig } from './config/config.ts';
import type { Secret } from './core/keyring.ts';
import type { TlsContents } from './http/tls.ts';
import type { Inputs } from './inputs.ts';
import { buildPolicy, type Policy } from './policy.ts';
import type { SecretMaterial } from './secrets/material.ts';
import { rotate } from './secrets/rotation.ts';

export interface Ruleset {
  readonly loaded: LoadedConfig;
  readonly materials: readonly SecretMaterial[];
  readonly policy: Policy;
  /** Contents of the TLS files, checked; null where the config has none. */
  readonly listenTls: TlsContents | null;
  readonly upstreamTls: TlsContents | null;
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
  const { loaded } = inputs;
  const { secrets, failures } = rotate(held?.materials ?? [], inputs.readings, now);
  const tls = buildTls(inputs, held);
  return {
    ruleset: rulesetOf(loaded, secrets, tls),
    failures: [...(inputs.broken ?? []), ...failures, ...tls.failures],
  };
}

/** The same ruleset with other secrets, as after `retire-previous`. */
export function withSecrets(ruleset: Ruleset, secrets: readonly SecretMaterial[]): Ruleset {
  return rulesetOf(ruleset.loaded, secrets, ruleset);
}

type TlsPart = Pick<Ruleset, 'listenTls' | 'upstreamTls'>;

function rulesetOf(loaded: LoadedConfig, materials: readonly SecretMaterial[], tls: TlsPart): Ruleset {
  const secrets: Secret[] = [];
  for (const { id, key, notBefore, notAfter } of materials) {
    if (key !== null) secrets.push({ id, key, notBefore, notAfter });
  }
  const { listenTls, upstreamTls } = tls;
  return Object.freeze({ loaded, materials, policy: buildPolicy(loaded.config, secrets), listenTls, upstreamTls });
}

function buildTls(inputs: Inputs, held: Ruleset | null): TlsPart & { readonly failures: readonly string[] } {
  const failures: string[] = [];
  const { listen, upstream } = inputs.loaded.config;
  const part = (name: string, old: TlsContents | null | undefined, make: () => TlsContents): TlsContents | null => {
    try {
      const made = make();
      process.getBuiltinModule('node:tls').createSecureContext(made); // throws where certificate and key do not belong together, or are no PEM
      return made;
    } catch (error) {
      const problem = `${name}: ${error instanceof Error ? error.message : String(error)}`;
      if (held === null) throw new RulesetError(problem);
      failures.push(problem);
      return old ?? null;
    }
  };
  return {
    listenTls: listen.tls && part('listen.tls', held?.listenTls, () => listenTls(listen.tls, inputs.tlsFiles)),
    upstreamTls:
      upstream.tls && part('upstream.tls', held?.upstreamTls, () => upstreamTls(upstream.tls, inputs.tlsFiles)),
    failures,
  };
}

type Files = Inputs['tlsFiles'];

function content(files: Files, path: string): Buffer {
  const bytes = files.get(path);
  if (bytes === undefined || typeof bytes === 'string')
    throw new Error(`${path} cannot be read (${bytes ?? 'ENOENT'})`);
  return bytes;
}

function listenTls(tls: Config['listen']['tls'], files: Files): TlsContents {
  if (tls === null) return {};
  const { certFile, keyFile, clientCaFile } = tls;
  return {
    cert: content(files, certFile),
    key: content(files, keyFile),
    ...(clientCaFile === null ? {} : { ca: content(files, clientCaFile) }),
  };
}

function upstreamTls(tls: Config['upstream']['tls'], files: Files): TlsContents {
  if (tls === null) return {};
  const { caFile, certFile, keyFile, serverName } = tls;
  return {
    ...(caFile === null ? {} : { ca: content(files, caFile) }),
    ...(certFile === null ? {} : { cert: content(files, certFile) }),
    ...(keyFile === null ? {} : { key: content(files, keyFile) }),
    ...(serverName === null ? {} : { servername: serverName }),
  };
}

/** Keys that differ but only a restart can change. The rest of a reload takes effect all the same. */
export function restartNeeded(running: Config, next: Config): readonly string[] {
  const keys: readonly (readonly [string, (config: Config) => unknown])[] = [
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
    ['upstream.checkExposure', ({ upstream }) => upstream.checkExposure],
    ['limits.maxHeader', ({ limits }) => limits.maxHeader],
    ['once', ({ once }) => JSON.stringify(once)],
  ];
  return keys.filter(([, read]) => read(running) !== read(next)).map(([key]) => key);
}
