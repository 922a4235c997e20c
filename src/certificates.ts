// The TLS part of a ruleset: files' contents, checked before they count. A pair that does not fit, or that has run out,
// never takes the place of one that works.
import { X509Certificate } from 'node:crypto';
import type { Config } from './config/config.ts';
import type { TlsContents } from './wire/tls.ts';
import type { Inputs } from './inputs.ts';

export interface Tls {
  /** Null where the config has none. */
  readonly listenTls: TlsContents | null;
  readonly upstreamTls: TlsContents | null;
}

export interface BuiltTls extends Tls {
  /** What did not come in: at start there is nothing to go on with, later the old contents stay. */
  readonly failures: readonly string[];
  readonly warnings: readonly string[];
}

/** `held` is what runs now, null at start. `now` is epoch milliseconds. */
export function buildTls({ loaded: { config }, tlsFiles }: Inputs, held: Tls | null, now: number): BuiltTls {
  const failures: string[] = [];
  const warnings: string[] = [];
  const part = (name: string, old: TlsContents | null | undefined, made: () => TlsContents): TlsContents | null => {
    try {
      const contents = made();
      if (old != null && sameContents(old, contents)) return old;
      const problem = checked(contents, now);
      // A start with an old certificate serves those who do not look; a reload has a better one to keep.
      if (problem !== null && old != null) throw new Error(problem);
      if (problem !== null) warnings.push(`${name}: ${problem}`);
      return contents;
    } catch (error) {
      failures.push(`${name}: ${error instanceof Error ? error.message : String(error)}`);
      return old ?? null;
    }
  };
  const { listen, upstream } = config;
  return {
    listenTls: listen.tls && part('listen.tls', held?.listenTls, () => listenContents(listen.tls, tlsFiles)),
    upstreamTls:
      upstream.tls && part('upstream.tls', held?.upstreamTls, () => upstreamContents(upstream.tls, tlsFiles)),
    failures,
    warnings,
  };
}

/** Throws where they can't be used at all; gives what is wrong with the certificate's time, or null. */
function checked(contents: TlsContents, now: number): string | null {
  // Throws where certificate and key do not belong together, or are no PEM.
  process.getBuiltinModule('node:tls').createSecureContext(contents);
  if (contents.cert === undefined) return null;
  const { validFromDate, validToDate } = new X509Certificate(contents.cert);
  if (now >= validToDate.getTime()) return `the certificate has expired on ${validToDate.toISOString()}`;
  if (now < validFromDate.getTime()) return `the certificate is not valid before ${validFromDate.toISOString()}`;
  return null;
}

function sameContents(a: TlsContents, b: TlsContents): boolean {
  const same = (key: 'ca' | 'cert' | 'key') => (a[key] === undefined ? b[key] === undefined : b[key]?.equals(a[key]));
  return a.servername === b.servername && same('ca') === true && same('cert') === true && same('key') === true;
}

type Files = Inputs['tlsFiles'];

function listenContents(tls: Config['listen']['tls'], files: Files): TlsContents {
  if (tls === null) return {};
  const { certFile, keyFile, clientCaFile } = tls;
  return {
    cert: content(files, certFile),
    key: content(files, keyFile),
    ...(clientCaFile === null ? {} : { ca: content(files, clientCaFile) }),
  };
}

function upstreamContents(tls: Config['upstream']['tls'], files: Files): TlsContents {
  if (tls === null) return {};
  const { caFile, certFile, keyFile, serverName } = tls;
  return {
    ...(caFile === null ? {} : { ca: content(files, caFile) }),
    ...(certFile === null ? {} : { cert: content(files, certFile) }),
    ...(keyFile === null ? {} : { key: content(files, keyFile) }),
    ...(serverName === null ? {} : { servername: serverName }),
  };
}

function content(files: Files, path: string): Buffer {
  const bytes = files.get(path);
  if (bytes === undefined || typeof bytes === 'string')
    throw new Error(`${path} cannot be read (${bytes ?? 'ENOENT'})`);
  return bytes;
}
