// What the program runs on: every default filled in, durations in milliseconds, sizes in bytes, dates as epoch
// milliseconds, deeply frozen. What the user wrote is another type (schema.ts) and never leaves src/config.
import type { Route } from '../core/routes.ts';

export interface ListenTls {
  readonly certFile: string;
  readonly keyFile: string;
  readonly clientCaFile: string | null;
}

export interface UpstreamTls {
  readonly caFile: string | null;
  readonly certFile: string | null;
  readonly keyFile: string | null;
  readonly serverName: string | null;
}

export interface UpstreamConfig {
  /** `http://host:port`, `https://host:port` or `unix:///path`. */
  readonly url: string;
  readonly connections: number;
  readonly connectTimeout: number;
  readonly retryConnectFor: number;
  readonly responseTimeout: number;
  readonly idleTimeout: number;
  readonly keepAlive: number;
  readonly forwardedHeaders: 'none' | 'overwrite';
  readonly checkExposure: boolean;
  readonly tls: UpstreamTls | null;
}

interface Validity {
  readonly overlap: number | null;
  readonly notBefore: number | null;
  readonly notAfter: number | null;
  readonly allowShort: boolean;
}

/** Where secrets come from. A value is never part of the configuration. */
export type SecretSource =
  | ({ readonly kind: 'env'; readonly id: string; readonly env: string } & Validity)
  | ({ readonly kind: 'file'; readonly id: string; readonly file: string } & Validity)
  | ({ readonly kind: 'directory'; readonly directory: string } & Validity);

export interface Limits {
  readonly maxBody: number;
  /** `auto`: the smaller of 64 MiB and a quarter of the container's memory. */
  readonly bufferedBytes: number | 'auto';
  readonly maxHeader: number;
  readonly headersTimeout: number;
  readonly bodyTimeout: number;
  readonly connections: number;
  readonly connectionAge: number;
}

export interface Config {
  readonly listen: {
    readonly host: string;
    readonly port: number;
    readonly keepAlive: number;
    readonly trustedProxies: readonly string[];
    readonly tls: ListenTls | null;
  };
  readonly admin: {
    readonly host: string;
    readonly port: number;
    readonly readyNeedsUpstream: boolean;
    readonly actionsFrom: readonly string[];
  };
  readonly upstream: UpstreamConfig;
  readonly secrets: readonly SecretSource[];
  readonly routes: readonly Route[];
  readonly unmatched: 'verify' | 'forward' | 'reject';
  readonly limits: Limits;
  readonly shutdown: { readonly delay: number; readonly grace: number };
  readonly once: {
    /** `memory` or a redis:// / rediss:// URL. */
    readonly store: string;
    readonly passwordFile: string | null;
    readonly onStoreFailure: 'forward' | 'refuse';
    readonly maxEntries: number;
  };
  readonly log: {
    readonly level: 'debug' | 'info' | 'warn' | 'error';
    readonly requests: 'all' | 'rejected' | 'none';
  };
}

/** One thing wrong, or worth a warning, in what the user wrote. */
export interface Problem {
  /** A file's path, or `environment`. */
  readonly file: string;
  /** 1-based; null where there is no text (the environment). */
  readonly line: number | null;
  readonly column: number | null;
  /** `routes[0].path`, or the variable's name. */
  readonly key: string;
  /** What was found and what is allowed, in one sentence. Never a secret's value. */
  readonly message: string;
}

export interface LoadedConfig {
  readonly config: Config;
  /** The file it came from; null when the environment alone decided. */
  readonly file: string | null;
  /** Lower-case hex SHA-256 of the file's bytes; of nothing where there is no file. */
  readonly sha256: string;
  readonly warnings: readonly Problem[];
}
