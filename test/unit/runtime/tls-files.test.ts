// TLS files that cannot be used are explained in words, and the words hold no part of a key.
import { X509Certificate } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { authoritiesProblem, pairProblem, readCertificate, timeProblem } from '../../../src/runtime/tls-files.ts';
import { makeIdentity, validFor } from '../../support/tls/x509.ts';

let folder = '';
const file = (name: string) => ({ name: `key ${name}`, bytes: readFileSync(join(folder, name)) });

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'entrupy-pem-'));
  const write = (name: string, content: string | Buffer) => writeFileSync(join(folder, name), content);
  const selfSigned = (name: string) => makeIdentity({ name, issuer: null, names: [], ...validFor(3) });
  const [a, b] = [selfSigned('a'), selfSigned('b')];
  for (const { name, certificate, privateKey } of [a, b]) {
    write(`${name}.crt`, certificate);
    write(`${name}.key`, privateKey.export({ type: 'pkcs8', format: 'pem' }));
  }
  write('a.der', new X509Certificate(a.certificate).raw);
  const locked = { format: 'pem', cipher: 'aes-128-cbc', passphrase: 'word' } as const;
  write('encrypted.key', a.privateKey.export({ ...locked, type: 'pkcs8' }));
  write('encrypted-old.key', a.privateKey.export({ ...locked, type: 'sec1' }));
});
afterAll(() => rmSync(folder, { recursive: true }));

const bytes = (text: string) => ({ name: 'key x', bytes: Buffer.from(text) });

test('a matching pair has no problem, even after other text and with a chain', () => {
  expect(pairProblem(file('a.crt'), file('a.key'))).toBeNull();
  const chain = Buffer.concat([Buffer.from('subject: a\n'), file('a.crt').bytes, file('b.crt').bytes]);
  expect(pairProblem({ name: 'chain', bytes: chain }, file('a.key'))).toBeNull();
});

test.each([
  [
    'another key',
    () => [file('a.crt'), file('b.key')] as const,
    /^key b\.key: it is not the key of .* key a\.crt; give/,
  ],
  [
    'an empty file',
    () => [bytes(''), file('a.key')] as const,
    /^key x: it is empty; required is PEM .*BEGIN CERTIFICATE/,
  ],
  ['no PEM', () => [file('a.der'), file('a.key')] as const, /^key a\.der: it is not a PEM file/],
  [
    'the files swapped',
    () => [file('a.key'), file('a.crt')] as const,
    /^key a\.key: it holds a (EC )?PRIVATE KEY; required/,
  ],
  ['an encrypted key', () => [file('a.crt'), file('encrypted.key')] as const, /encrypted.*openssl pkey/],
  [
    'an encrypted key in the old format',
    () => [file('a.crt'), file('encrypted-old.key')] as const,
    /encrypted.*openssl pkey/,
  ],
  [
    'a damaged key',
    () => [file('a.crt'), bytes('-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----')] as const,
    /^key x: its PEM text is damaged/,
  ],
])('%s', (_, pair, words) => {
  expect(pairProblem(...pair())).toMatch(words);
});

test('an authority file is read to its last certificate', () => {
  const both = Buffer.concat([file('a.crt').bytes, file('b.crt').bytes]);
  expect(authoritiesProblem({ name: 'ca', bytes: both })).toBeNull();
  const named = (name: string) => file('a.crt').bytes.toString().replaceAll(' CERTIFICATE', ` ${name} CERTIFICATE`);
  for (const name of ['X509', 'TRUSTED']) expect(authoritiesProblem(bytes(named(name)))).toBeNull();
  const broken = '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n';
  const bad = Buffer.concat([file('a.crt').bytes, Buffer.from(broken)]);
  expect(authoritiesProblem({ name: 'ca', bytes: bad })).toBe('ca: certificate 2 of 2 cannot be read; export it again');
  expect(authoritiesProblem(file('a.key'))).toMatch(/holds a (EC )?PRIVATE KEY/);
  expect(authoritiesProblem(bytes('x'))).toMatch(/not a PEM file/);
});

test('a certificate outside its validity is reported with the date', () => {
  const { validFromDate, validToDate } = readCertificate(file('a.crt').bytes) ?? expect.fail();
  expect(timeProblem(file('a.crt'), validFromDate.getTime())).toBeNull();
  expect(timeProblem(file('a.crt'), validToDate.getTime())).toContain(
    `the certificate expired on ${validToDate.toISOString()}`,
  );
  expect(timeProblem(file('a.crt'), validFromDate.getTime() - 1)).toContain('not valid before');
  expect(timeProblem(file('a.key'), 0)).toBeNull();
});
