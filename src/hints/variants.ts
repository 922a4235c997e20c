// Variants of body and secret that the sender may have used: line breaks, encodings, compression, rewritten JSON. Only
// the diagnosis uses them: the verdict only sees the body that arrived and the configured secrets.
import { Buffer, isUtf8 } from 'node:buffer';
import { createSecretKey, type KeyObject } from 'node:crypto';
import { escaped } from '../base/printable.ts';
import { valuesOf } from '../core/header-lines.ts';
import type { Hint } from '../core/hint.ts';

const hint =
  (diagnosis: Hint['diagnosis']) =>
  (text: string): Hint => ({ diagnosis, text });
const [newline, form, sender] = [hint('trailing-newline'), hint('secret-form'), hint('sender-signs')];
const [changed, compressed] = [hint('body-changed'), hint('body-compressed')];

const around = (what: string, secret: string) =>
  [form(`the secret of the sender has ${what} around it, the one here has not`), Buffer.from(secret)] as const;

/** Variants of a secret that careless copying produces, most common first. The buffers are overwritten at the end. */
export function* keyVariants(key: KeyObject): Generator<readonly [Hint, KeyObject]> {
  const value = key.export();
  const text = value.toString('utf8');
  const base64 = /^[A-Za-z0-9+/_-]{4,}={0,2}$/.test(text) ? Buffer.from(text, 'base64') : value;
  const hex = /^(?:[0-9a-f]{2})+$/i.test(text) ? Buffer.from(text, 'hex') : value;
  const bare = text.trim().replace(/^(["'])(.*)\1$/s, '$2');
  const encoded = Buffer.from(value.toString('base64'));
  const variants: readonly (readonly [Hint, Buffer])[] = [
    [newline('the secret was used with a trailing newline'), Buffer.from(`${text}\n`)],
    [form('the secret here has white space or quotes around it, the one of the sender has not'), Buffer.from(bare)],
    ...[`"${text}"`, `'${text}'`].map((quoted) => around('quotes', quoted)),
    ...[`${text}\r\n`, `${text} `, ` ${text}`, `\t${text}`, `\n${text}`].map((spaced) => around('white space', spaced)),
    [form("the base64 text of the secret was used (as in a Kubernetes Secret's data)"), encoded],
    [sender('signed with an empty secret'), Buffer.alloc(0)],
    [form('the secret was base64-decoded by the sender, or is base64 text here alone'), base64],
    [form('the secret was hex-decoded by the sender, or is hex text here alone'), hex],
  ];
  try {
    for (const [hint, variant] of variants) if (!variant.equals(value)) yield [hint, createSecretKey(variant)];
  } finally {
    // Also runs if the caller stops at a match.
    for (const buffer of [value, ...variants.map(([, variant]) => variant)]) buffer.fill(0);
  }
}

/** A body that may have been signed. `hint` says what happened to it on the way. */
type BodyVariant = readonly [hint: Hint, body: Buffer];

const LOST = sender('the signature covers a trailing line break that the body lacks (echo adds one, curl -d drops it)');

/** Variants of a body, the most likely first, none longer than twice `limit` bytes. Never throws. */
export function bodyVariants(body: Buffer, limit: number): readonly BodyVariant[] {
  const variants = [
    [sender('an empty body was signed'), ''] as const,
    ...(isUtf8(body)
      ? textVariants(body.toString('utf8'))
      : [[reencoded('UTF-8', 'Latin-1'), body.toString('latin1')] as const]),
    [compressed('the body was signed before it was compressed'), unzipped(body, limit)] as const,
  ];
  return variants
    .map(([hint, variant]): BodyVariant => [hint, Buffer.from(variant)])
    .filter(([, variant]) => variant.length <= 2 * limit && !variant.equals(body));
}

const reencoded = (signed: string, arrived: string) =>
  changed(`the body was re-encoded on the way (${signed} was signed, ${arrived} arrived)`);

const lineBreaks = (signed: string, arrived: string) =>
  changed(`line breaks were changed on the way (${signed} was signed, ${arrived} arrived)`);

/** Other encodings and line breaks, and the same JSON in other styles. */
function textVariants(text: string): readonly (readonly [Hint, string | Buffer])[] {
  const bare = text.replace(/^\ufeff/, '');
  const latin1 = /^[\0-\xff]*$/.test(text) ? Buffer.from(text, 'latin1') : text;
  const lf = text.replaceAll('\r\n', '\n');
  const json = jsonVariants(text.trim()).map(
    ([name, variant]) => [changed(`the body was re-serialised on the way (JSON ${name} matches)`), variant] as const,
  );
  return [
    [changed('a byte order mark was added to the body on the way'), bare],
    [changed('the byte order mark of the body was removed on the way'), `\ufeff${bare}`],
    [reencoded('Latin-1', 'UTF-8'), latin1],
    [LOST, `${text}\n`],
    [LOST, `${text}\r\n`],
    [changed('the body has a trailing line break that the signature does not cover'), text.replace(/\r?\n$/, '')],
    [lineBreaks('LF', 'CRLF'), lf],
    [lineBreaks('CRLF', 'LF'), lf.replaceAll('\n', '\r\n')],
    [sender('the body was signed without the white space around it'), text.trim()],
    ...json,
  ];
}

const LEXEME = /"[^"\\]*(?:\\.[^"\\]*)*"|[{}[\],:]|[^\s"{}[\],:]+/gs;

/** Escapes can be made in the whole JSON text, since these characters occur only in its strings. */
const ascii = (json: string) => json.replace(/[\u007f-\uffff]/g, escaped);

/**
 * `text` as today's serialisers of JSON would write it, the likely variants first; none if it is not JSON. Numbers and
 * the order of keys stay as they are. `name` follows the word "JSON" in the hint.
 */
function jsonVariants(text: string): readonly (readonly [name: string, text: string])[] {
  try {
    JSON.parse(text);
  } catch {
    return [];
  }
  const lexemes = (text.match(LEXEME) ?? []).map((lexeme) =>
    lexeme.includes('\\') ? JSON.stringify(JSON.parse(lexeme)) : lexeme,
  );
  const compact = lexemes.join('');
  const spaced = lexemes.map((lexeme) => (lexeme === ',' || lexeme === ':' ? `${lexeme} ` : lexeme)).join('');
  return [
    ['compact', compact],
    ['spaced and escaped as by json.dumps', ascii(spaced)],
    ['spaced as by json.dumps', spaced],
    ['compact with \\u escapes', ascii(compact)],
  ];
}

/** The decompressed body; the body itself if it is not gzip, or would be too large. */
function unzipped(body: Buffer, limit: number): Buffer {
  if (body[0] !== 0x1f || body[1] !== 0x8b) return body; // the first bytes of gzip (RFC 1952 2.3.1)
  try {
    // The bound stops decompression bombs. Not imported: node:zlib loads 16 modules, 0.6 MiB.
    return process.getBuiltinModule('node:zlib').gunzipSync(body, { maxOutputLength: 2 * limit });
  } catch {
    return body;
  }
}

/** The hint for a body that was decompressed in front: no variant can match. `lines`: the head's, flat. */
export function decompressed(body: Buffer, lines: readonly string[]): Hint | null {
  const isEncoded = valuesOf(lines, 'content-encoding').length > 0;
  const isJson = /^\s*[[{]/.test(body.toString('latin1', 0, 16));
  return isEncoded && isJson
    ? { ...compressed('the body was decompressed on the way: it has a Content-Encoding, and is plain'), isGuess: true }
    : null;
}
