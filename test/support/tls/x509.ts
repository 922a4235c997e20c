// Certificates in memory. node:crypto makes the keys and signs; @peculiar/asn1-x509 writes the structure of RFC 5280.
import { generateKeyPairSync, type KeyObject, randomBytes, sign, X509Certificate } from 'node:crypto';
import { AsnConvert, OctetString } from '@peculiar/asn1-schema';
import {
  AlgorithmIdentifier,
  AttributeTypeAndValue,
  AttributeValue,
  BasicConstraints,
  Certificate,
  Extension,
  Extensions,
  GeneralName,
  id_ce_basicConstraints,
  id_ce_subjectAltName,
  Name,
  RelativeDistinguishedName,
  SubjectAlternativeName,
  SubjectPublicKeyInfo,
  TBSCertificate,
  Validity,
  Version,
} from '@peculiar/asn1-x509';

const COMMON_NAME = '2.5.4.3';
const ECDSA_WITH_SHA256 = new AlgorithmIdentifier({ algorithm: '1.2.840.10045.4.3.2' });
const DAY_MS = 24 * 60 * 60 * 1000;

interface Wanted {
  readonly name: string;
  /** Who signs it; itself unless given. */
  readonly issuer?: { readonly name: string; readonly privateKey: KeyObject };
  /** Subject alternative names, as `DNS:a.example` or `IP:127.0.0.1`. */
  readonly names?: readonly string[];
  readonly from?: Date;
  /** In 30 days unless given. */
  readonly to?: Date;
}

export const inDays = (days: number) => new Date(Date.now() + days * DAY_MS);

/** A new key on P-256, as `key` PKCS #8 in PEM, and its certificate. */
export function makeIdentity({ name, issuer, names = [], from = new Date(), to = inDays(30) }: Wanted) {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const signer = issuer ?? { name, privateKey };
  const tbsCertificate = new TBSCertificate({
    version: Version.v3,
    serialNumber: exactly(Buffer.from([1, ...randomBytes(15)])),
    signature: ECDSA_WITH_SHA256,
    issuer: commonName(signer.name),
    validity: new Validity({ notBefore: from, notAfter: to }),
    subject: commonName(name),
    subjectPublicKeyInfo: AsnConvert.parse(publicKey.export({ type: 'spki', format: 'der' }), SubjectPublicKeyInfo),
    extensions: new Extensions([
      extension(id_ce_basicConstraints, new BasicConstraints({ cA: issuer === undefined })),
      ...(names.length === 0 ? [] : [extension(id_ce_subjectAltName, alternatives(names))]),
    ]),
  });
  const signatureValue = exactly(sign('sha256', Buffer.from(AsnConvert.serialize(tbsCertificate)), signer.privateKey));
  const der = AsnConvert.serialize(
    new Certificate({ tbsCertificate, signatureAlgorithm: ECDSA_WITH_SHA256, signatureValue }),
  );
  const key = String(privateKey.export({ type: 'pkcs8', format: 'pem' }));
  return { name, certificate: new X509Certificate(Buffer.from(der)).toString(), privateKey, key };
}

const extension = (extnID: string, value: object) =>
  new Extension({ extnID, critical: true, extnValue: new OctetString(AsnConvert.serialize(value)) });

const alternatives = (names: readonly string[]) =>
  new SubjectAlternativeName(
    names.map((text) => {
      const value = text.slice(text.indexOf(':') + 1);
      return new GeneralName(text.startsWith('DNS:') ? { dNSName: value } : { iPAddress: value });
    }),
  );

function commonName(name: string): Name {
  const value = new AttributeValue({ utf8String: name });
  return new Name([new RelativeDistinguishedName([new AttributeTypeAndValue({ type: COMMON_NAME, value })])]);
}

/** A copy of these bytes alone: a small Buffer shares its memory with others. */
const exactly = (bytes: Buffer): ArrayBuffer => new Uint8Array(bytes).buffer;
