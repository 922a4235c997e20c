// The TLS part of a ruleset: files are read once, and checked before use. A certificate that does not match its key, or
// has expired, never replaces one that works. Messages name setting and file, and quote OpenSSL, but no part of a key.
import { X509Certificate } from 'node:crypto';
import { NO_BYTES } from '../base/bytes.ts';
import { fileProblem, readRegularFile } from '../base/regular-file.ts';
import type { TlsParts } from '../config/config.ts';
import { atValue, type ProblemAt } from '../config/problems.ts';
import type { TlsContents } from '../wire/tls-file-contents.ts';

export interface TlsFile {
  readonly side: keyof TlsParts;
  readonly role: 'ca' | 'cert' | 'key';
  readonly path: string;
  /** The configuration's key and the path, for messages: `listen.tls.certFile /etc/tls/tls.crt`. */
  readonly name: string;
  /** Empty if the file can't be read. */
  readonly bytes: Buffer;
  /** Why the file can't be read; null if it can. */
  readonly problem: string | null;
}

/** The longest TLS file: several times a bundle of all public authorities. */
const MOST_BYTES = 1024 * 1024;
const ROLES = { certFile: 'cert', keyFile: 'key', caFile: 'ca', clientCaFile: 'ca' } as const;

export async function readTlsFiles(parts: TlsParts): Promise<readonly TlsFile[]> {
  const named = (['listen', 'upstream'] as const).flatMap((side) => {
    const paths: Readonly<Record<string, string | null>> = { ...parts[side].tls };
    return Object.entries(ROLES).flatMap(([key, role]) => {
      const path = paths[key] ?? null;
      return path === null ? [] : [{ side, role, path, name: `${side}.tls.${key} ${path}` }];
    });
  });
  return Promise.all(named.map(readTlsFile));
}

async function readTlsFile(file: Omit<TlsFile, 'bytes' | 'problem'>): Promise<TlsFile> {
  try {
    return { ...file, bytes: await readRegularFile(file.path, MOST_BYTES), problem: null };
  } catch (error) {
    return { ...file, bytes: NO_BYTES, problem: `${file.name} cannot be read: ${fileProblem(error)}` };
  }
}

export interface BuiltTls {
  /** Null if the config has no TLS for this side. */
  readonly listenTls: TlsContents | null;
  readonly upstreamTls: TlsContents | null;
  /** Why contents can't be used: then a start fails, while at a reload the old ones stay in use. */
  readonly failures: readonly string[];
  /** Certificates that are used outside their period of validity, because there is no better one. */
  readonly warnings: readonly string[];
  /** The certificates in use: after a failed reload, older ones than those in the files. */
  readonly certificates: ReturnType<typeof certificateIn>;
}

/** Builds the TLS contents of both sides from files. `running` is null at start. */
export function buildTls(
  { listen, upstream }: TlsParts,
  files: readonly TlsFile[],
  running: BuiltTls | null,
): BuiltTls {
  const failures: string[] = [];
  const warnings: string[] = [];
  const build = (side: TlsFile['side'], old: TlsContents | null, servername?: string | null) => {
    const mine = files.filter((file) => file.side === side);
    const [ca, cert, key] = (['ca', 'cert', 'key'] as const).map((role) => mine.find((file) => file.role === role));
    const tls = { ca: ca?.bytes, cert: cert?.bytes, key: key?.bytes, servername: servername ?? undefined };
    if (old !== null && process.getBuiltinModule('node:util').isDeepStrictEqual(old, tls)) return old;
    const problems = contentProblems(mine, tls);
    const expired = problems.length > 0 || cert === undefined ? null : timeProblem(cert, Date.now());
    // At start an expired certificate still serves clients that do not check it; at a reload the old one is better.
    if (expired !== null) (old === null ? warnings : problems).push(expired);
    failures.push(...problems);
    return problems.length > 0 ? old : tls;
  };
  const listenTls = listen.tls && build('listen', running?.listenTls ?? null);
  const upstreamTls = upstream.tls && build('upstream', running?.upstreamTls ?? null, upstream.tls.serverName);
  const certificates = [
    ...certificateIn('listen', listen.tls?.certFile, listenTls),
    ...certificateIn('upstream_client', upstream.tls?.certFile, upstreamTls),
  ];
  return { listenTls, upstreamTls, failures, warnings, certificates };
}

/** A message about a TLS file begins with the file's key, which becomes its place. */
export function tlsProblem(message: string): ProblemAt {
  const [prefix = '', side = '', key = ''] = /^(\w+)\.tls\.(\w+) /.exec(message) ?? [];
  return atValue([side, 'tls', key], message.slice(prefix.length));
}

function contentProblems(files: readonly TlsFile[], tls: TlsContents): string[] {
  const unreadable = files.flatMap(({ problem }) => problem ?? []);
  if (unreadable.length > 0) return unreadable;
  const each = files.flatMap((file) => [...refusals([file], { [file.role]: file.bytes }), ...lostAuthorities(file)]);
  // All files together: the key may belong to another certificate, or be too short for OpenSSL's security level.
  return each.length > 0 ? each : refusals(files, tls);
}

/** OpenSSL's objections to the contents; none if it accepts them. */
function refusals(files: readonly TlsFile[], contents: TlsContents): string[] {
  try {
    process.getBuiltinModule('node:tls').createSecureContext(contents);
    return [];
  } catch (error) {
    const names = files.map(({ name }) => name).join(', ');
    const { code = '', message } = error as NodeJS.ErrnoException;
    const isOther = code === 'ERR_OSSL_X509_KEY_VALUES_MISMATCH';
    return [`${names}: ${isOther ? 'the key does not belong to the certificate' : `OpenSSL says ${message}`}`];
  }
}

/** The PEM labels that OpenSSL accepts for a certificate. */
const CERTIFICATES = /-----BEGIN ((?:X509 |TRUSTED )?CERTIFICATE)-----[\s\S]*?-----END \1-----/g;

/** CA certificates that OpenSSL cannot read: it would skip them, and then refuse every client of that authority. */
function lostAuthorities({ name, role, bytes }: TlsFile): string[] {
  if (role !== 'ca') return [];
  const blocks = bytes.toString('latin1').match(CERTIFICATES) ?? [];
  const broken = blocks.findIndex((block) => readCertificate(Buffer.from(block, 'latin1')) === null);
  if (blocks.length === 0) return [`${name}: it holds no certificate`];
  return broken < 0 ? [] : [`${name}: certificate ${broken + 1} of ${blocks.length} cannot be read`];
}

/** The first certificate of a PEM file, the one that the other side checks; null if there is none. */
export function readCertificate(bytes: Buffer): X509Certificate | null {
  if (!bytes.includes('-----BEGIN ')) return null;
  try {
    return new X509Certificate(bytes);
  } catch {
    return null;
  }
}

/** The reason why the certificate is not valid at `now` (epoch milliseconds); null if it is. */
export function timeProblem({ name, bytes }: Pick<TlsFile, 'name' | 'bytes'>, now: number): string | null {
  const certificate = readCertificate(bytes);
  if (certificate === null) return null;
  const { validFromDate, validToDate } = certificate;
  if (now >= validToDate.getTime()) {
    return `${name}: the certificate expired on ${validToDate.toISOString()}; replace the file, no restart is needed`;
  }
  if (now >= validFromDate.getTime()) return null;
  return `${name}: the certificate is not valid before ${validFromDate.toISOString()}; check this machine's clock`;
}

/** The certificate that clients or the upstream see; empty if there is none. */
function certificateIn(certificate: 'listen' | 'upstream_client', file: string | null = null, tls: TlsContents | null) {
  const read = tls?.cert === undefined ? null : readCertificate(tls.cert);
  if (read === null || file === null) return [];
  return [{ certificate, file, notBefore: read.validFromDate.getTime(), notAfter: read.validToDate.getTime() }];
}
