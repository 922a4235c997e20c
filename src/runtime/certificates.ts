// The TLS part of a ruleset: files' contents, checked before they count. A pair that does not fit, or that has run out,
// never takes the place of one that works.
import type { ListenTls, UpstreamTls } from '../config/config.ts';
import { authoritiesProblem, type PemFile, pairProblem, timeProblem } from '../secrets/pem.ts';
import type { TlsContents } from '../wire/sockets.ts';

export interface Tls {
  /** Null where the config has none. */
  readonly listenTls: TlsContents | null;
  readonly upstreamTls: TlsContents | null;
}

/** The files that the configuration names. */
export interface TlsFiles {
  readonly listen: ListenTls | null;
  readonly upstream: UpstreamTls | null;
  /** By path; a text says why it can't be read. */
  readonly contents: ReadonlyMap<string, Buffer | string>;
}

export interface BuiltTls extends Tls {
  /** What did not come in: at start there is nothing to go on with, later the old contents stay. */
  readonly failures: readonly string[];
  /** Certificates outside their time: served all the same where there is nothing better. */
  readonly warnings: readonly string[];
}

/** `held` is what runs now, null at start. `now` is epoch milliseconds. */
export function buildTls({ listen, upstream, contents }: TlsFiles, held: Tls | null, now: number): BuiltTls {
  const failures: string[] = [];
  const warnings: string[] = [];
  const part = (old: TlsContents | null | undefined, wanted: readonly Wanted[], servername: string | null) => {
    const files = wanted.flatMap(({ key, path, ...rest }) =>
      path === null ? [] : [{ ...rest, name: `${key} ${path}`, bytes: contents.get(path) ?? 'ENOENT' }],
    );
    const unreadable = files.flatMap(({ name, bytes }) => (typeof bytes === 'string' ? [unread(name, bytes)] : []));
    const made = contentsOf(files, servername);
    if (unreadable.length === 0 && old != null && sameContents(old, made.tls)) return old;
    const problems = unreadable.length > 0 ? unreadable : problemsOf(made);
    const time = problems.length > 0 || made.cert === null ? null : timeProblem(made.cert, now);
    // A start with an old certificate serves those who do not look; a reload has a better one to keep.
    if (time !== null && old != null) problems.push(time);
    else if (time !== null) warnings.push(time);
    failures.push(...problems);
    return problems.length > 0 ? (old ?? null) : made.tls;
  };
  return {
    listenTls: listen && part(held?.listenTls, listenFiles(listen), null),
    upstreamTls: upstream && part(held?.upstreamTls, upstreamFiles(upstream), upstream.serverName),
    failures,
    warnings,
  };
}

interface Wanted {
  readonly as: 'ca' | 'cert' | 'key';
  readonly key: string;
  readonly path: string | null;
}

function listenFiles({ certFile, keyFile, clientCaFile }: ListenTls): readonly Wanted[] {
  return [
    { as: 'cert', key: 'listen.tls.certFile', path: certFile },
    { as: 'key', key: 'listen.tls.keyFile', path: keyFile },
    { as: 'ca', key: 'listen.tls.clientCaFile', path: clientCaFile },
  ];
}

function upstreamFiles({ certFile, keyFile, caFile }: UpstreamTls): readonly Wanted[] {
  return [
    { as: 'cert', key: 'upstream.tls.certFile', path: certFile },
    { as: 'key', key: 'upstream.tls.keyFile', path: keyFile },
    { as: 'ca', key: 'upstream.tls.caFile', path: caFile },
  ];
}

interface Made {
  readonly tls: TlsContents;
  readonly cert: PemFile | null;
  readonly key: PemFile | null;
  readonly ca: PemFile | null;
}

function contentsOf(
  files: readonly { as: Wanted['as']; name: string; bytes: Buffer | string }[],
  servername: string | null,
): Made {
  const file = (as: Wanted['as']): PemFile | null => {
    const found = files.find((one) => one.as === as);
    return found === undefined || typeof found.bytes === 'string' ? null : { name: found.name, bytes: found.bytes };
  };
  const [cert, key, ca] = [file('cert'), file('key'), file('ca')];
  const tls = {
    ...(ca === null ? {} : { ca: ca.bytes }),
    ...(cert === null ? {} : { cert: cert.bytes }),
    ...(key === null ? {} : { key: key.bytes }),
    ...(servername === null ? {} : { servername }),
  };
  return { tls, cert, key, ca };
}

/** Why they can't be used at all. */
function problemsOf({ tls, cert, key, ca }: Made): string[] {
  const pair = cert === null || key === null ? null : pairProblem(cert, key);
  const authorities = ca === null ? null : authoritiesProblem(ca);
  const found = [pair, authorities].filter((problem) => problem !== null);
  if (found.length > 0) return found;
  try {
    // The last word is OpenSSL's: a key that is too short for its security level, for one.
    process.getBuiltinModule('node:tls').createSecureContext(tls);
    return [];
  } catch (error) {
    const names = [cert, key, ca].flatMap((file) => (file === null ? [] : [file.name])).join(', ');
    return [`${names}: OpenSSL refuses them: ${error instanceof Error ? error.message : String(error)}`];
  }
}

function sameContents(a: TlsContents, b: TlsContents): boolean {
  const same = (key: 'ca' | 'cert' | 'key') => (a[key] === undefined ? b[key] === undefined : b[key]?.equals(a[key]));
  return a.servername === b.servername && same('ca') === true && same('cert') === true && same('key') === true;
}

const REMEDIES: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file; mount it, or correct the path',
  EACCES: `permission denied; user ${process.geteuid?.() ?? '?'} needs the right to read it`,
  ENOTDIR: 'a part of its path is not a directory',
};

function unread(name: string, code: string): string {
  const remedy = REMEDIES[code];
  return `${name} cannot be read (${code})${remedy === undefined ? '' : `: ${remedy}`}`;
}
