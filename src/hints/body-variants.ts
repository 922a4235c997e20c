// What the body may have been when it was signed, judging from what arrived: line breaks, encodings, compression,
// JSON written anew. For the diagnosis alone: the verdict never sees any body but the one that arrived.
import { Buffer, isUtf8 } from 'node:buffer';
import { createHash } from 'node:crypto';
import { gunzipSync } from 'node:zlib';
import { jsonSpellings } from './json-variants.ts';

export interface BodySpelling {
  /** What happened on the way if this was the body that was signed. */
  readonly hint: string;
  readonly body: Buffer;
}

const BYTE_ORDER_MARK = Buffer.from('\ufeff');

/** The likely ones first, made one at a time, none longer than twice `limit` bytes. Never throws. */
export function* bodySpellings(body: Buffer, limit: number): Generator<BodySpelling> {
  for (const spelling of allSpellings(body, limit)) {
    if (spelling.body.length <= 2 * limit && !spelling.body.equals(body)) yield spelling;
  }
}

function* allSpellings(body: Buffer, limit: number): Generator<BodySpelling> {
  yield { hint: 'an empty body was signed', body: Buffer.alloc(0) };
  if (isUtf8(body)) {
    const text = body.toString('utf8');
    yield* encodings(text);
    yield* lineBreaks(text);
    for (const { name, text: spelt } of jsonSpellings(text.trim(), 6 * limit)) {
      yield { hint: `the body was re-serialised on the way (JSON ${name} matches)`, body: Buffer.from(spelt) };
    }
  } else {
    const hint = 'the body was re-encoded on the way (UTF-8 was signed, Latin-1 arrived)';
    yield { hint, body: Buffer.from(body.toString('latin1')) };
  }
  yield* wrappings(body, limit);
}

function* lineBreaks(text: string): Generator<BodySpelling> {
  const lost = 'the body lost its trailing line break on the way (curl -d drops it, --data-binary keeps it)';
  yield { hint: lost, body: Buffer.from(`${text}\n`) };
  yield { hint: lost, body: Buffer.from(`${text}\r\n`) };
  const gained = 'the body gained a trailing line break on the way';
  yield { hint: gained, body: Buffer.from(text.replace(/\r?\n$/, '')) };
  const lf = text.replaceAll('\r\n', '\n');
  yield { hint: 'line breaks were changed on the way (LF was signed, CRLF arrived)', body: Buffer.from(lf) };
  const crlf = Buffer.from(lf.replaceAll('\n', '\r\n'));
  yield { hint: 'line breaks were changed on the way (CRLF was signed, LF arrived)', body: crlf };
  yield { hint: 'the body was signed without the white space around it', body: Buffer.from(text.trim()) };
}

function* encodings(text: string): Generator<BodySpelling> {
  const bare = text.replace(/^\ufeff/, '');
  yield { hint: 'a byte order mark was added to the body on the way', body: Buffer.from(bare) };
  const marked = Buffer.concat([BYTE_ORDER_MARK, Buffer.from(bare)]);
  yield { hint: 'the byte order mark of the body was removed on the way', body: marked };
  if (/^[\0-\xff]*$/.test(text)) {
    const hint = 'the body was re-encoded on the way (Latin-1 was signed, UTF-8 arrived)';
    yield { hint, body: Buffer.from(text, 'latin1') };
  }
  const wide = Buffer.from(text, 'utf16le');
  yield { hint: 'the body was re-encoded on the way (UTF-16 was signed, UTF-8 arrived)', body: wide };
}

function* wrappings(body: Buffer, limit: number): Generator<BodySpelling> {
  const plain = unzipped(body, limit);
  if (plain !== null) yield { hint: 'the body was signed before it was compressed', body: plain };
  const inner = innerText(body);
  if (inner !== null)
    yield { hint: 'the body was put into a JSON string after it was signed', body: Buffer.from(inner) };
  const ascii = body.toString('latin1');
  if (/^[A-Za-z0-9+/=\s]+$/.test(ascii)) {
    yield { hint: 'the body was put into base64 after it was signed', body: Buffer.from(ascii, 'base64') };
  }
  yield { hint: 'the base64 of the body was signed', body: Buffer.from(body.toString('base64')) };
  const hex = createHash('sha256').update(body).digest('hex');
  yield { hint: 'the hex SHA-256 of the body was signed, not the body', body: Buffer.from(hex) };
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

function innerText(body: Buffer): string | null {
  if (body[0] !== 0x22) return null;
  try {
    const value: unknown = JSON.parse(body.toString('utf8'));
    return typeof value === 'string' ? value : null;
  } catch {
    return null;
  }
}
