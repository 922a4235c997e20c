// What the body may have been when it was signed, judging from what arrived: line breaks, encodings, compression,
// JSON written anew. For the diagnosis alone: the verdict never sees any body but the one that arrived.
import { Buffer, isUtf8 } from 'node:buffer';
import { createHash } from 'node:crypto';
import { gunzipSync } from 'node:zlib';
import { jsonSpellings, parseJson } from './json-variants.ts';

/** What happened on the way if this was the body that was signed. */
export type BodySpelling = readonly [hint: string, body: Buffer];

/** The likely ones first, made one at a time, none longer than twice `limit` bytes. Never throws. */
export function* bodySpellings(body: Buffer, limit: number): Generator<BodySpelling> {
  for (const spelling of allSpellings(body, limit)) {
    const [, spelt] = spelling;
    if (spelt.length <= 2 * limit && !spelt.equals(body)) yield spelling;
  }
}

function* allSpellings(body: Buffer, limit: number): Generator<BodySpelling> {
  yield ['an empty body was signed', Buffer.alloc(0)];
  if (isUtf8(body)) {
    const text = body.toString('utf8');
    yield* encodings(text);
    yield* lineBreaks(text);
    for (const [name, spelt] of jsonSpellings(text.trim(), 6 * limit)) {
      yield [`the body was re-serialised on the way (JSON ${name} matches)`, Buffer.from(spelt)];
    }
  } else {
    yield reencoded('UTF-8 was signed, Latin-1 arrived', Buffer.from(body.toString('latin1')));
  }
  yield* wrappings(body, limit);
}

function* encodings(text: string): Generator<BodySpelling> {
  const bare = text.replace(/^\ufeff/, '');
  yield ['a byte order mark was added to the body on the way', Buffer.from(bare)];
  yield ['the byte order mark of the body was removed on the way', Buffer.from(`\ufeff${bare}`)];
  if (/^[\0-\xff]*$/.test(text)) yield reencoded('Latin-1 was signed, UTF-8 arrived', Buffer.from(text, 'latin1'));
  yield reencoded('UTF-16 was signed, UTF-8 arrived', Buffer.from(text, 'utf16le'));
}

function reencoded(how: string, body: Buffer): BodySpelling {
  return [`the body was re-encoded on the way (${how})`, body];
}

function* lineBreaks(text: string): Generator<BodySpelling> {
  const lost = 'the body lost its trailing line break on the way (curl -d drops it, --data-binary keeps it)';
  yield [lost, Buffer.from(`${text}\n`)];
  yield [lost, Buffer.from(`${text}\r\n`)];
  yield ['the body gained a trailing line break on the way', Buffer.from(text.replace(/\r?\n$/, ''))];
  const lf = text.replaceAll('\r\n', '\n');
  const crlf = lf.replaceAll('\n', '\r\n');
  yield ['line breaks were changed on the way (LF was signed, CRLF arrived)', Buffer.from(lf)];
  yield ['line breaks were changed on the way (CRLF was signed, LF arrived)', Buffer.from(crlf)];
  yield ['the body was signed without the white space around it', Buffer.from(text.trim())];
}

function* wrappings(body: Buffer, limit: number): Generator<BodySpelling> {
  const plain = unzipped(body, limit);
  if (plain !== null) yield ['the body was signed before it was compressed', plain];
  const inner = body[0] === 0x22 ? parseJson(body.toString('utf8')) : null;
  if (typeof inner === 'string') yield ['the body was put into a JSON string after it was signed', Buffer.from(inner)];
  const text = body.toString('latin1');
  if (/^[A-Za-z0-9+/=\s]+$/.test(text)) {
    yield ['the body was put into base64 after it was signed', Buffer.from(text, 'base64')];
  }
  yield ['the base64 of the body was signed', Buffer.from(body.toString('base64'))];
  const hex = createHash('sha256').update(body).digest('hex');
  yield ['the hex SHA-256 of the body was signed, not the body', Buffer.from(hex)];
}

function unzipped(body: Buffer, limit: number): Buffer | null {
  if (body[0] !== 0x1f || body[1] !== 0x8b) return null;
  try {
    // The bound is what stands between us and a decompression bomb.
    return gunzipSync(body, { maxOutputLength: 2 * limit });
  } catch {
    return null;
  }
}
