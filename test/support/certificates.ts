// Certificates made by openssl when a test runs: the repository holds no private key and no certificate that expires.
import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export interface Pair {
  readonly certFile: string;
  readonly keyFile: string;
}

export interface Authority {
  readonly caFile: string;
  /** `names`: subject alternative names, as `DNS:a.example` or `IP:127.0.0.1`. */
  issue(
    name: string,
    options: { readonly names: readonly string[]; readonly expired?: true; readonly days?: number },
  ): Pair;
}

/** A new certificate authority in `<directory>/<name>`. */
export function createAuthority(directory: string, name: string): Authority {
  const at = (file: string) => join(directory, name, file);
  const openssl = (...args: readonly string[]) => execFileSync('openssl', args, { cwd: at('.'), stdio: 'pipe' });
  mkdirSync(at('.'), { recursive: true });
  writeFileSync(at('index.txt'), '');
  writeFileSync(at('serial'), '01');
  writeFileSync(at('ca.conf'), CONFIG);
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
  openssl('req', '-x509', ...key, '-keyout', 'ca.key', '-out', 'ca.pem', '-days', '30', '-subj', `/CN=${name}`);
  return {
    caFile: at('ca.pem'),
    issue(leaf, { names, expired, days = 30 }) {
      openssl('req', '-new', ...key, '-keyout', `${leaf}.key`, '-out', `${leaf}.csr`, '-subj', `/CN=${leaf}`);
      writeFileSync(at(`${leaf}.ext`), `subjectAltName=${names.join(',')}\n`);
      // Every version of `openssl ca` can set a certificate's dates; `openssl req` only newer ones.
      const dates = expired
        ? ['-startdate', '20200101000000Z', '-enddate', '20200201000000Z']
        : ['-days', String(days)];
      const files = ['-in', `${leaf}.csr`, '-out', `${leaf}.pem`, '-extfile', `${leaf}.ext`];
      openssl('ca', '-batch', '-notext', '-config', 'ca.conf', ...dates, ...files);
      return { certFile: at(`${leaf}.pem`), keyFile: at(`${leaf}.key`) };
    },
  };
}

const CONFIG = `[ca]
default_ca = authority
[authority]
dir = .
database = index.txt
serial = serial
new_certs_dir = .
certificate = ca.pem
private_key = ca.key
default_md = sha256
unique_subject = no
policy = any
[any]
commonName = supplied
`;
