// The TLS part of a ruleset: contents of files, checked before use. A certificate that does not match its key, or has
// expired, never replaces one that works.
import { isDeepStrictEqual } from 'node:util';
import type { TlsParts } from '../config/config.ts';
import type { TlsContents } from '../wire/sockets.ts';
import { authoritiesProblem, type PemFile, pairProblem, timeProblem } from './pem.ts';

type Side = keyof TlsParts;

/** A file that the config names, with its contents. */
export interface TlsFile {
  readonly side: Side;
  readonly role: 'ca' | 'cert' | 'key';
  readonly path: string;
  /** The key and the path, for people: `listen.tls.certFile /etc/tls/tls.crt`. */
  readonly name: string;
  /** A text is the system's code, or says why the file can't be read. */
  readonly bytes: Buffer | string;
}

export interface Tls {
  /** Null where the config has none. */
  readonly listenTls: TlsContents | null;
  readonly upstreamTls: TlsContents | null;
}

export interface BuiltTls extends Tls {
  /** Unusable contents: the start fails; at a reload the old ones stay in use. */
  readonly failures: readonly string[];
  /** Certificates outside their validity that are served because there is no better one. */
  readonly warnings: readonly string[];
}

/** `running` is null at start. `now` is epoch milliseconds. */
export function buildTls(
  { listen, upstream }: TlsParts,
  files: readonly TlsFile[],
  { running, now }: { readonly running: Tls | null; readonly now: number },
): BuiltTls {
  const failures: string[] = [];
  const warnings: string[] = [];
  const build = (side: Side, old: TlsContents | null | undefined, servername: string | null) => {
    const mine = files.filter((file) => file.side === side);
    const { tls, problems } = contentsOf(mine, servername);
    if (old != null && isDeepStrictEqual(old, tls)) return old;
    const cert = problems.length > 0 ? undefined : pemOf(mine, 'cert');
    const expired = cert === undefined ? null : timeProblem(cert, now);
    // At start an expired certificate still serves clients that do not check it; at a reload the old one is better.
    if (expired !== null && old == null) warnings.push(expired);
    else if (expired !== null) problems.push(expired);
    failures.push(...problems);
    return problems.length > 0 ? (old ?? null) : tls;
  };
  return {
    listenTls: listen.tls && build('listen', running?.listenTls, null),
    upstreamTls: upstream.tls && build('upstream', running?.upstreamTls, upstream.tls.serverName),
    failures,
    warnings,
  };
}

/** One side's contents, and why they can't be used at all. */
function contentsOf(files: readonly TlsFile[], servername: string | null): { tls: TlsContents; problems: string[] } {
  const unreadable = files.flatMap(({ name, bytes }) => (typeof bytes === 'string' ? [unreadText(name, bytes)] : []));
  if (unreadable.length > 0) return { tls: {}, problems: unreadable };
  const [ca, cert, key] = [pemOf(files, 'ca'), pemOf(files, 'cert'), pemOf(files, 'key')];
  const tls = {
    ...(ca && { ca: ca.bytes }),
    ...(cert && { cert: cert.bytes }),
    ...(key && { key: key.bytes }),
    ...(servername !== null && { servername }),
  };
  const pair = cert && key ? pairProblem(cert, key) : null;
  const authorities = ca ? authoritiesProblem(ca) : null;
  const problems = [pair, authorities].filter((problem) => problem !== null);
  if (problems.length > 0) return { tls, problems };
  try {
    // OpenSSL decides: it refuses, for example, a key that is too short for its security level.
    process.getBuiltinModule('node:tls').createSecureContext(tls);
  } catch (error) {
    const names = files.map(({ name }) => name).join(', ');
    problems.push(`${names}: OpenSSL refuses them: ${error instanceof Error ? error.message : String(error)}`);
  }
  return { tls, problems };
}

function pemOf(files: readonly TlsFile[], role: TlsFile['role']): PemFile | undefined {
  return files.find((file): file is TlsFile & PemFile => file.role === role && typeof file.bytes !== 'string');
}

const REMEDIES: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file; mount it, or correct the path',
  EACCES: `permission denied; user ${process.geteuid?.() ?? '?'} must be able to read it`,
  ENOTDIR: 'a part of its path is not a directory',
};

function unreadText(name: string, code: string): string {
  const remedy = REMEDIES[code];
  return `${name} cannot be read (${code})${remedy === undefined ? '' : `: ${remedy}`}`;
}
