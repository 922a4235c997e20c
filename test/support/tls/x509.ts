// Certificates in memory. node:crypto makes the keys and signs; @peculiar/asn1-x509 writes the structure of RFC 5280.
import { createHash, generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto';
import { AsnConvert, OctetString } from '@peculiar/asn1-schema';
import {
  AlgorithmIdentifier,
  AttributeTypeAndValue,
  AttributeValue,
  AuthorityKeyIdentifier,
  BasicConstraints,
  Certificate,
  Extension,
  Extensions,
  GeneralName,
  id_ce_authorityKeyIdentifier,
  id_ce_basicConstraints,
  id_ce_keyUsage,
  id_ce_subjectAltName,
  id_ce_subjectKeyIdentifier,
  KeyIdentifier,
  KeyUsage,
  KeyUsageFlags,
  Name,
  RelativeDistinguishedName,
  SubjectAlternativeName,
  SubjectKeyIdentifier,
  SubjectPublicKeyInfo,
  TBSCertificate,
  Validity,
  Version,
} from '@peculiar/asn1-x509';

const COMMON_NAME = '2.5.4.3';
const ECDSA_WITH_SHA256 = new AlgorithmIdentifier({ algorithm: '1.2.840.10045.4.3.2' });
const DAY_MS = 24 * 60 * 60 * 1000;

/** A certificate with its key. */
export interface Identity {
  readonly name: string;
  readonly certificate: string;
  readonly publicKey: KeyObject;
  readonly privateKey: KeyObject;
  /** The private key, PKCS #8 in PEM. */
  readonly key: string;
}

export interface Wanted {
  readonly name: string;
  /** Who signs it; itself unless given. */
  readonly issuer?: Identity;
  /** Subject alternative names, as `DNS:a.example` or `IP:127.0.0.1`. */
  readonly names?: readonly string[];
  readonly from?: Date;
  /** In 30 days unless given. */
  readonly to?: Date;
}

export const inDays = (days: number) => new Date(Date.now() + days * DAY_MS);

/** A new key on P-256, and its certificate. */
export function makeIdentity({ name, issuer, names = [], from = new Date(), to = inDays(30) }: Wanted): Identity {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const signer = issuer ?? { name, publicKey, privateKey };
  const tbsCertificate = new TBSCertificate({
    version: Version.v3,
    serialNumber: serial(),
    signature: ECDSA_WITH_SHA256,
    issuer: commonName(signer.name),
    validity: new Validity({ notBefore: from, notAfter: to }),
    subject: commonName(name),
    subjectPublicKeyInfo: AsnConvert.parse(spki(publicKey), SubjectPublicKeyInfo),
    extensions: new Extensions([
      extension(id_ce_subjectKeyIdentifier, new SubjectKeyIdentifier(keyId(publicKey))),
      extension(
        id_ce_authorityKeyIdentifier,
        new AuthorityKeyIdentifier({ keyIdentifier: new KeyIdentifier(keyId(signer.publicKey)) }),
      ),
      ...(issuer === undefined ? authorityExtensions() : []),
      ...(names.length === 0 ? [] : [extension(id_ce_subjectAltName, alternatives(names))]),
    ]),
  });
  const signatureValue = exactly(sign('sha256', Buffer.from(AsnConvert.serialize(tbsCertificate)), signer.privateKey));
  const der = AsnConvert.serialize(
    new Certificate({ tbsCertificate, signatureAlgorithm: ECDSA_WITH_SHA256, signatureValue }),
  );
  const key = String(privateKey.export({ type: 'pkcs8', format: 'pem' }));
  return { name, certificate: pem(Buffer.from(der)), publicKey, privateKey, key };
}

function authorityExtensions(): Extension[] {
  return [
    extension(id_ce_basicConstraints, new BasicConstraints({ cA: true }), { critical: true }),
    extension(id_ce_keyUsage, new KeyUsage(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign), { critical: true }),
  ];
}

function extension(extnID: string, value: object, { critical = false } = {}): Extension {
  return new Extension({ extnID, critical, extnValue: new OctetString(AsnConvert.serialize(value)) });
}

function alternatives(names: readonly string[]): SubjectAlternativeName {
  return new SubjectAlternativeName(
    names.map((text) => {
      const [kind, value] = [text.slice(0, text.indexOf(':')), text.slice(text.indexOf(':') + 1)];
      if (kind === 'DNS') return new GeneralName({ dNSName: value });
      if (kind === 'IP') return new GeneralName({ iPAddress: value });
      throw new Error(`${text}: a name is DNS:… or IP:…`);
    }),
  );
}

function commonName(name: string): Name {
  const value = new AttributeValue({ utf8String: name });
  return new Name([new RelativeDistinguishedName([new AttributeTypeAndValue({ type: COMMON_NAME, value })])]);
}

/** Positive, and without a leading zero byte, as DER wants an integer. */
function serial(): ArrayBuffer {
  const bytes = randomBytes(16);
  bytes[0] = ((bytes[0] ?? 0) & 0x3f) | 0x40;
  return exactly(bytes);
}

const spki = (key: KeyObject): Buffer => key.export({ type: 'spki', format: 'der' });
const keyId = (key: KeyObject): ArrayBuffer => exactly(createHash('sha256').update(spki(key)).digest().subarray(0, 20));
/** A copy of these bytes alone: a small Buffer shares its memory with others. */
const exactly = (bytes: Buffer): ArrayBuffer => new Uint8Array(bytes).buffer;

function pem(der: Buffer): string {
  const lines = der.toString('base64').match(/.{1,64}/g) ?? [];
  return ['-----BEGIN CERTIFICATE-----', ...lines, '-----END CERTIFICATE-----', ''].join('\n');
}
