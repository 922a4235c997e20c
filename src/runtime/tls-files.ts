// The TLS part of a ruleset: files are read once, and checked before use. A certificate that does not match its key, or
// has expired, never replaces one that works. OpenSSL only gives a code; these messages name the file and the fix.
// No message holds a part of a key.
import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { isDeepStrictEqual } from 'node:util';
import type { CertificateStatus } from '../admin/status-snapshot.ts';
import { NO_BYTES } from '../base/bytes.ts';
import { fileProblem } from '../base/errors.ts';
import type { TlsParts } from '../config/config.ts';
import type { TlsContents } from '../wire/tls-contents.ts';
import { canBeRead } from './regular-file.ts';

export interface TlsFile {
  readonly side: keyof TlsParts;
  readonly role: 'ca' | 'cert' | 'key';
  readonly path: string;
  /** The key and the path, for people: `listen.tls.certFile /etc/tls/tls.crt`. */
  readonly name: string;
  /** Empty if the file can't be read. */
  readonly bytes: Buffer;
  /** Why the file can't be read; null if it can. */
  readonly problem: string | null;
}

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
  let why = 'it is not a regular file';
  try {
    if (await canBeRead(file.path)) return { ...file, bytes: await readFile(file.path), problem: null };
  } catch (error) {
    why = fileProblem(error);
  }
  const problem = `${file.name} cannot be read by user ${process.geteuid?.() ?? '?'}: ${why}`;
  return { ...file, bytes: NO_BYTES, problem };
}

type Files = Partial<Record<TlsFile['role'], TlsFile>>;
type PemFile = Pick<TlsFile, 'name' | 'bytes'>;

export interface BuiltTls {
  /** Null if the config has none. */
  readonly listenTls: TlsContents | null;
  readonly upstreamTls: TlsContents | null;
  /** Unusable contents: the start fails; at a reload the old ones stay in use. */
  readonly failures: readonly string[];
  /** Certificates outside their validity, used because there is no better one. */
  readonly warnings: readonly string[];
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
    const mine: Files = Object.fromEntries(files.filter((file) => file.side === side).map((file) => [file.role, file]));
    const { ca, cert, key } = mine;
    const tls = { ca: ca?.bytes, cert: cert?.bytes, key: key?.bytes, servername: servername ?? undefined };
    if (old !== null && isDeepStrictEqual(old, tls)) return old;
    const problems = problemsOf(mine, tls);
    const expired = problems.length > 0 || cert === undefined ? null : timeProblem(cert, Date.now());
    // At start an expired certificate still serves clients that do not check it; at a reload the old one is better.
    if (expired !== null) (old === null ? warnings : problems).push(expired);
    failures.push(...problems);
    return problems.length > 0 ? old : tls;
  };
  return {
    listenTls: listen.tls && build('listen', running?.listenTls ?? null),
    upstreamTls: upstream.tls && build('upstream', running?.upstreamTls ?? null, upstream.tls.serverName),
    failures,
    warnings,
  };
}

/** Why one side's contents can't be used at all. */
function problemsOf(files: Files, tls: TlsContents): string[] {
  const all = Object.values(files);
  const unreadable = all.flatMap(({ problem }) => problem ?? []);
  if (unreadable.length > 0) return unreadable;
  const { ca, cert, key } = files;
  const pair = cert && key ? pairProblem(cert, key) : null;
  const authorities = ca ? authoritiesProblem(ca) : null;
  const problems = [pair, authorities].filter((problem) => problem !== null);
  if (problems.length > 0) return problems;
  try {
    // OpenSSL decides: it refuses, for example, a key that is too short for its security level.
    process.getBuiltinModule('node:tls').createSecureContext(tls);
  } catch (error) {
    const names = all.map(({ name }) => name).join(', ');
    problems.push(`${names}: OpenSSL refuses them: ${error instanceof Error ? error.message : String(error)}`);
  }
  return problems;
}

/** The reason why certificate and key do not work together; null if they do. */
export function pairProblem(cert: PemFile, key: PemFile): string | null {
  const certificate = readCertificate(cert.bytes);
  if (certificate === null) return `${cert.name}: ${noPem(cert.bytes, 'CERTIFICATE')}`;
  const privateKey = readPrivateKey(key.bytes);
  if (typeof privateKey === 'string') return `${key.name}: ${privateKey}`;
  if (certificate.checkPrivateKey(privateKey)) return null;
  return `${key.name}: it is not the key of the certificate in ${cert.name}; give a certificate and its own key`;
}

/** The PEM labels that OpenSSL accepts for a certificate. */
const CERTIFICATES = /-----BEGIN ((?:X509 |TRUSTED )?CERTIFICATE)-----[\s\S]*?-----END \1-----/g;

/** The reason why a CA file cannot be used; null if it has certificates and all of them can be read. */
export function authoritiesProblem({ name, bytes }: PemFile): string | null {
  const blocks = bytes.toString('latin1').match(CERTIFICATES) ?? [];
  if (blocks.length === 0) return `${name}: ${noPem(bytes, 'CERTIFICATE')}`;
  // OpenSSL skips certificates that it cannot read, and then refuses every client of that authority.
  const broken = blocks.findIndex((block) => readCertificate(Buffer.from(block, 'latin1')) === null);
  return broken < 0 ? null : `${name}: certificate ${broken + 1} of ${blocks.length} cannot be read; export it again`;
}

/** The first certificate of a PEM file, which the other side sees; null if there is none. */
export function readCertificate(bytes: Buffer): X509Certificate | null {
  if (!bytes.includes('-----BEGIN ')) return null;
  try {
    return new X509Certificate(bytes);
  } catch {
    return null;
  }
}

/** The reason why the certificate is not valid at `now` (epoch milliseconds); null if it is. */
export function timeProblem({ name, bytes }: PemFile, now: number): string | null {
  const certificate = readCertificate(bytes);
  if (certificate === null) return null;
  const { validFromDate, validToDate } = certificate;
  if (now >= validToDate.getTime()) {
    return `${name}: the certificate expired on ${validToDate.toISOString()}; replace the file, no restart is needed`;
  }
  if (now >= validFromDate.getTime()) return null;
  return `${name}: the certificate is not valid before ${validFromDate.toISOString()}; check this machine's clock`;
}

/** The certificates in use: after a failed reload, older ones than those in the files. */
export function certificatesOf(
  { listen, upstream }: TlsParts,
  { listenTls, upstreamTls }: Pick<BuiltTls, 'listenTls' | 'upstreamTls'>,
): readonly CertificateStatus[] {
  const found = [
    { certificate: 'listen', file: listen.tls?.certFile, tls: listenTls },
    { certificate: 'upstream_client', file: upstream.tls?.certFile, tls: upstreamTls },
  ] as const;
  return found.flatMap(({ certificate, file, tls }) => {
    const read = tls?.cert === undefined ? null : readCertificate(tls.cert);
    if (read === null || file == null) return [];
    return [{ certificate, file, notBefore: read.validFromDate.getTime(), notAfter: read.validToDate.getTime() }];
  });
}

function readPrivateKey(bytes: Buffer): KeyObject | string {
  if (/-----BEGIN ENCRYPTED PRIVATE KEY-----|^Proc-Type: 4,ENCRYPTED/m.test(bytes.toString('latin1'))) {
    return 'the key is encrypted, and the proxy has no passphrase for it; openssl pkey -in FILE writes it unencrypted';
  }
  try {
    return createPrivateKey(bytes);
  } catch {
    return noPem(bytes, 'PRIVATE KEY');
  }
}

/** Describes what the file contains instead of the wanted PEM block. */
function noPem(bytes: Buffer, wanted: 'CERTIFICATE' | 'PRIVATE KEY'): string {
  const needed = `required is PEM text with -----BEGIN ${wanted}-----`;
  if (bytes.length === 0) return `it is empty; ${needed}`;
  const found = /-----BEGIN ([A-Z0-9 ]{1,40})-----/.exec(bytes.toString('latin1'))?.[1];
  if (found === undefined) return `it is not a PEM file; ${needed}`;
  if (found.endsWith(wanted)) return 'its PEM text is damaged; export it again';
  return `it holds a ${found}; ${needed}`;
}
