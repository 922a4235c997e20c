// TLS files that cannot be used are named, with what OpenSSL says.
import { X509Certificate } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { buildTls, readCertificate, readTlsFiles, timeProblem } from '../../../src/runtime/tls-files.ts';
import { ownDirectory } from '../../support/machine/files.ts';
import { parseText } from '../../support/proxy/config-text.ts';
import { makeIdentity } from '../../support/tls/x509.ts';

const folder = ownDirectory();
const file = (name: string) => ({ name: `key ${name}`, bytes: readFileSync(join(folder, name)) });

beforeAll(() => {
  const write = (name: string, content: string | Buffer) => writeFileSync(join(folder, name), content);
  const [a, b] = [makeIdentity({ name: 'a' }), makeIdentity({ name: 'b' })];
  for (const { name, certificate, key } of [a, b]) {
    write(`${name}.crt`, certificate);
    write(`${name}.key`, key);
  }
  write('a.der', new X509Certificate(a.certificate).raw);
  const locked = { format: 'pem', cipher: 'aes-128-cbc', passphrase: 'word' } as const;
  write('encrypted.key', a.privateKey.export({ ...locked, type: 'pkcs8' }));
  write('encrypted-old.key', a.privateKey.export({ ...locked, type: 'sec1' }));
  write('empty', '');
  write('damaged.key', '-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----');
  write('chain.crt', `subject: a\n${a.certificate}${b.certificate}`);
  write('both.crt', `${a.certificate}${b.certificate}`);
  write('broken-second.crt', `${a.certificate}-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n`);
  for (const name of ['X509', 'TRUSTED']) {
    write(`${name}.crt`, String(a.certificate).replaceAll(' CERTIFICATE', ` ${name} CERTIFICATE`));
  }
});

/** Why the proxy does not start with these files, without their folder. */
async function failures(files: Readonly<Record<string, string>>): Promise<readonly string[]> {
  const tls = Object.entries(files).map(([key, name]) => `${key}: ${join(folder, name)}`);
  const { config } = parseText(`listen: { tls: { ${tls.join(', ')} } }`, 'c.yaml', {});
  const built = buildTls(config, await readTlsFiles(config), null);
  return built.failures.map((failure) => failure.replaceAll(`${folder}/`, ''));
}

test('a matching pair has no problem, even after other text and with a chain', async () => {
  expect(await failures({ certFile: 'a.crt', keyFile: 'a.key' })).toEqual([]);
  expect(await failures({ certFile: 'chain.crt', keyFile: 'a.key' })).toEqual([]);
});

const CERT = 'listen.tls.certFile';
const KEY = 'listen.tls.keyFile';

// Each locked key has a random salt: once in 256 the wrong word leaves padding that looks right, and OpenSSL says so
// in other words than "bad decrypt".
test.each([
  ['an empty file', 'empty', 'a.key', [`${CERT} empty: OpenSSL says error:0480006C:PEM routines::no start line`]],
  ['an encrypted key', 'a.crt', 'encrypted.key', [/^listen\.tls\.keyFile encrypted\.key: OpenSSL says error:/]],
  ['a file that is not there', 'a.crt', 'none', [new RegExp(`^${KEY} none cannot be read: it does not exist$`)]],
])('%s', async (_, certFile, keyFile, words) => {
  expect(await failures({ certFile, keyFile })).toEqual(
    words.map((word) => (typeof word === 'string' ? word : expect.stringMatching(word))),
  );
});

test('an authority file is read to its last certificate', async () => {
  const of = (clientCaFile: string) => failures({ certFile: 'a.crt', keyFile: 'a.key', clientCaFile });
  for (const name of ['both.crt', 'X509.crt', 'TRUSTED.crt']) expect([name, await of(name)]).toEqual([name, []]);
  const file = 'listen.tls.clientCaFile';
  expect(await of('broken-second.crt')).toEqual([`${file} broken-second.crt: certificate 2 of 2 cannot be read`]);
  for (const name of ['a.key', 'empty']) expect(await of(name)).toEqual([`${file} ${name}: it holds no certificate`]);
});

test('a certificate outside its validity is reported with the date', () => {
  const { validFromDate, validToDate } = readCertificate(file('a.crt').bytes) ?? expect.fail();
  expect(timeProblem(file('a.crt'), validFromDate.getTime())).toBeNull();
  expect(timeProblem(file('a.crt'), validToDate.getTime())).toContain(`expired on ${validToDate.toISOString()}`);
  expect(timeProblem(file('a.crt'), validFromDate.getTime() - 1)).toContain('not valid before');
  expect(timeProblem(file('a.key'), 0)).toBeNull();
});
