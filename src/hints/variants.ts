// Variants of body and secret that the sender may have used: line breaks, encodings, compression, rewritten JSON. Only
// the diagnosis uses them: the verdict only sees the body that arrived and the configured secrets.
import { Buffer, isUtf8 } from 'node:buffer';
import { createSecretKey, hash, type KeyObject } from 'node:crypto';
import { gunzipSync } from 'node:zlib';
import { valuesOf } from '../core/header-lines.ts';
import { jsonVariants, parseJson } from './json-variants.ts';

const PLACEHOLDER = "signed with the placeholder of Entrupy's example instead of a secret";

/** Keys of senders without a configured secret. */
export const LITERAL_SECRETS: readonly (readonly [hint: string, key: KeyObject])[] = [
  ['signed with an empty secret', createSecretKey(Buffer.alloc(0))],
  [PLACEHOLDER, createSecretKey(Buffer.from('your-secret-key-here'))],
  [PLACEHOLDER, createSecretKey(Buffer.from('yourkeyhere'))],
];

/**
 * Variants of a secret that careless copying produces, the most common first: a hint, the key, and the text that it
 * signs. In the last one, secret and body are swapped. The buffers are overwritten at the end.
 */
export function* keyVariants(key: KeyObject, body: Buffer): Generator<readonly [string, KeyObject, Buffer]> {
  const value = key.export();
  const text = value.toString('utf8');
  const variants: [hint: string, value: Buffer][] = [
    ['the secret was used with a trailing newline', Buffer.from(`${text}\n`)],
    ['the secret was used with a trailing newline (CRLF)', Buffer.from(`${text}\r\n`)],
    ['the secret was used without the white space around it', Buffer.from(text.trim())],
    ['the secret was used without its quotes', Buffer.from(text.trim().replace(/^(["'])(.*)\1$/s, '$2'))],
    ['the secret was used with quotes around it', Buffer.from(`"${text}"`)],
    [
      "the base64 text of the secret was used (as in a Kubernetes Secret's data)",
      Buffer.from(value.toString('base64')),
    ],
  ];
  if (/^[A-Za-z0-9+/_-]{4,}={0,2}$/.test(text)) {
    const hint = 'the secret was base64-decoded by the sender';
    const decoded = Buffer.from(text, 'base64');
    variants.push([hint, decoded], [hint, Buffer.from(decoded.toString('latin1').trimEnd(), 'latin1')]);
  }
  if (/^(?:[0-9a-f]{2})+$/i.test(text)) {
    variants.push(['the secret was hex-decoded by the sender', Buffer.from(text, 'hex')]);
  }
  try {
    for (const [hint, variant] of variants) if (!variant.equals(value)) yield [hint, createSecretKey(variant), body];
    if (body.length > 0) yield ['the secret and the body were swapped when signing', createSecretKey(body), value];
  } finally {
    // Also runs if the caller stops at a match.
    for (const buffer of [value, ...variants.map(([, variant]) => variant)]) buffer.fill(0);
  }
}

/** A body that may have been signed. `hint` says what happened to it on the way. */
type BodyVariant = readonly [hint: string, body: Buffer];

const REENCODED = 'the body was re-encoded on the way';

/** Variants of a body, the most likely first, none longer than twice `limit` bytes. Never throws. */
export function bodyVariants(body: Buffer, limit: number): readonly BodyVariant[] {
  return allVariants(body, limit)
    .filter(([, variant]) => variant.length <= 2 * limit && !variant.equals(body))
    .toArray();
}

function* allVariants(body: Buffer, limit: number): Generator<BodyVariant> {
  yield ['an empty body was signed', Buffer.alloc(0)];
  if (isUtf8(body)) {
    const text = body.toString('utf8');
    yield* otherTexts(text);
    for (const [name, variant] of jsonVariants(text.trim(), 6 * limit)) {
      yield [`the body was re-serialised on the way (JSON ${name} matches)`, Buffer.from(variant)];
    }
  } else {
    yield [`${REENCODED} (UTF-8 was signed, Latin-1 arrived)`, Buffer.from(body.toString('latin1'))];
  }
  yield* wrappings(body, limit);
}

/** Other encodings and line breaks. */
function* otherTexts(text: string): Generator<BodyVariant> {
  const bare = text.replace(/^\ufeff/, '');
  yield ['a byte order mark was added to the body on the way', Buffer.from(bare)];
  yield ['the byte order mark of the body was removed on the way', Buffer.from(`\ufeff${bare}`)];
  if (/^[\0-\xff]*$/.test(text))
    yield [`${REENCODED} (Latin-1 was signed, UTF-8 arrived)`, Buffer.from(text, 'latin1')];
  yield [`${REENCODED} (UTF-16 was signed, UTF-8 arrived)`, Buffer.from(text, 'utf16le')];
  const lost = 'the signature covers a trailing line break that the body lacks (echo adds one, curl -d drops it)';
  yield [lost, Buffer.from(`${text}\n`)];
  yield [lost, Buffer.from(`${text}\r\n`)];
  yield [
    'the body has a trailing line break that the signature does not cover',
    Buffer.from(text.replace(/\r?\n$/, '')),
  ];
  const lf = text.replaceAll('\r\n', '\n');
  const crlf = lf.replaceAll('\n', '\r\n');
  yield ['line breaks were changed on the way (LF was signed, CRLF arrived)', Buffer.from(lf)];
  yield ['line breaks were changed on the way (CRLF was signed, LF arrived)', Buffer.from(crlf)];
  yield ['the body was signed without the white space around it', Buffer.from(text.trim())];
}

function* wrappings(body: Buffer, limit: number): Generator<BodyVariant> {
  const plain = unzipped(body, limit);
  if (plain !== null) yield ['the body was signed before it was compressed', plain];
  const inner = body[0] === 0x22 ? parseJson(body.toString('utf8')) : null;
  if (typeof inner === 'string')
    yield ['the body was wrapped in a JSON string after it was signed', Buffer.from(inner)];
  const text = body.toString('latin1');
  if (/^[A-Za-z0-9+/=\s]+$/.test(text)) {
    yield ['the body was base64-encoded after it was signed', Buffer.from(text, 'base64')];
  }
  yield ['the base64 of the body was signed', Buffer.from(body.toString('base64'))];
  yield ['the hex SHA-256 of the body was signed, not the body', Buffer.from(hash('sha256', body, 'hex'))];
}

function unzipped(body: Buffer, limit: number): Buffer | null {
  if (body[0] !== 0x1f || body[1] !== 0x8b) return null;
  try {
    // The bound stops decompression bombs.
    return gunzipSync(body, { maxOutputLength: 2 * limit });
  } catch {
    return null;
  }
}

/**
 * The hint for a body that a front has decompressed, and left the header that said how it was compressed. What was signed
 * is lost, so no variant can match. `lines`: the head's, flat.
 */
export function decompressed(body: Buffer, lines: readonly string[]): readonly string[] | null {
  const isEncoded = valuesOf(lines, 'content-encoding').length > 0;
  const isJson = /^\s*[[{]/.test(body.toString('latin1', 0, 16));
  return isEncoded && isJson ? ['the body was decompressed on the way: it has a Content-Encoding, and is plain'] : null;
}
