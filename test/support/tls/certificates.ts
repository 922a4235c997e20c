// Certificates made when a test runs: the repository holds no private key and no certificate that expires.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { inDays, makeIdentity } from './x509.ts';

export interface Pair {
  readonly certFile: string;
  readonly keyFile: string;
}

interface Wanted {
  /** Subject alternative names, as `DNS:a.example` or `IP:127.0.0.1`. */
  readonly names: readonly string[];
  readonly expired?: true;
  readonly days?: number;
}

const EXPIRED = { from: new Date('2020-01-01'), to: new Date('2020-02-01') };

/** A new certificate authority in `<directory>/<name>`. */
export function createAuthority(directory: string, name: string) {
  const at = (file: string) => join(directory, name, file);
  mkdirSync(at('.'), { recursive: true });
  const issuer = makeIdentity({ name });
  writeFileSync(at('ca.pem'), issuer.certificate);
  return {
    caFile: at('ca.pem'),
    issue(leaf: string, { names, expired, days = 30 }: Wanted): Pair {
      const dates = expired ? EXPIRED : { to: inDays(days) };
      const { certificate, key } = makeIdentity({ name: leaf, issuer, names, ...dates });
      const pair = { certFile: at(`${leaf}.pem`), keyFile: at(`${leaf}.key`) };
      writeFileSync(pair.certFile, certificate);
      writeFileSync(pair.keyFile, key, { mode: 0o600 });
      return pair;
    },
  };
}

/** A certificate for 127.0.0.1, and that of its authority, PEM. */
export function loopbackIdentity(directory: string) {
  const { caFile, issue } = createAuthority(directory, 'authority');
  return { pair: issue('loopback', { names: ['IP:127.0.0.1'] }), caFile, ca: readFileSync(caFile, 'utf8') };
}
