// Checks TLS files before they are used. OpenSSL only gives a code; these messages name the file and the fix.
// No message holds a part of a key.
import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';

/** A file's contents, with the configuration key that names it: `listen.tls.certFile /etc/tls/tls.crt`. */
export interface PemFile {
  readonly name: string;
  readonly bytes: Buffer;
}

/** The reason why certificate and key do not work together; null where they do. */
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

/** The reason why the file gives no certificate authority; null where each of its certificates can be read. */
export function authoritiesProblem({ name, bytes }: PemFile): string | null {
  const blocks = bytes.toString('latin1').match(CERTIFICATES) ?? [];
  if (blocks.length === 0) return `${name}: ${noPem(bytes, 'CERTIFICATE')}`;
  // OpenSSL skips certificates that it cannot read, and then refuses every client of that authority.
  const broken = blocks.findIndex((block) => readCertificate(Buffer.from(block, 'latin1')) === null);
  return broken < 0 ? null : `${name}: certificate ${broken + 1} of ${blocks.length} cannot be read; export it again`;
}

/** The first certificate of a PEM file, which the other side sees; null where there is none. */
export function readCertificate(bytes: Buffer): X509Certificate | null {
  if (!bytes.includes('-----BEGIN ')) return null;
  try {
    return new X509Certificate(bytes);
  } catch {
    return null;
  }
}

/** Says that the certificate is not valid at `now` (epoch milliseconds); null where it is. */
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

/** Describes the file's contents where the wanted PEM block is missing. */
function noPem(bytes: Buffer, wanted: 'CERTIFICATE' | 'PRIVATE KEY'): string {
  const needed = `required is PEM text with -----BEGIN ${wanted}-----`;
  if (bytes.length === 0) return `it is empty; ${needed}`;
  const found = /-----BEGIN ([A-Z0-9 ]{1,40})-----/.exec(bytes.toString('latin1'))?.[1];
  if (found === undefined) return `it is not a PEM file; ${needed}`;
  if (found.endsWith(wanted)) return 'its PEM text is damaged; export it again';
  return `it holds a ${found}; ${needed}`;
}
