// The usual mistakes, each really made and then found. A diagnosis must never throw, reveal a value or take long.
import { createHash, createHmac, createSecretKey } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Head } from '../../../src/core/request-head.ts';
import { SIGNATURE_HEADER, signatureForm } from '../../../src/core/signature.ts';
import { createDiagnosis, type DiagnosisKey, diagnose } from '../../../src/hints/diagnose.ts';
import { sign } from '../../support/deliveries/signer.ts';

const SECRET = 'c3VwZXItc2VjcmV0LW9mLXRoZS13ZWJob29rLTAx';
const OTHER = 'the-secret-of-another-route-0123456789';
const ITEM = {
  text: 'ルイ & <Vuitton>',
  site: 'https://cert.entrupy.com/1SALEFYH',
  epoch: [1566879268.34, 1, {}],
  a: { z: null, y: [] },
};
const COMPACT = JSON.stringify(ITEM);

const key = (id: string, secret: string, use: DiagnosisKey['use'] = 'route'): DiagnosisKey => ({
  id,
  key: createSecretKey(Buffer.from(secret)),
  use,
});
const KEYS = [key('current', SECRET), key('partner', OTHER, 'other_route')];

function hint(given: string, body: Buffer | string = COMPACT, keys = KEYS): string | null {
  return diagnose({ body: Buffer.from(body), given, keys, maxBytes: 64 * 1024 });
}

/** The proxy's hint from the header alone. */
function formHint(given: string): string | null {
  const head = new Head({ method: 'POST', target: '/', version: '1.1' }, [SIGNATURE_HEADER, given]);
  return createDiagnosis().form(head, signatureForm(head).reason ?? 'none');
}

const digest = (encoding: 'hex' | 'base64' | 'base64url') =>
  createHmac('sha256', SECRET).update(COMPACT).digest(encoding);
const asciiOnly = (text: string) =>
  text.replace(/[^\x20-\x7e]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`);

describe('a signature of the wrong form is described, with a note if it is otherwise right', () => {
  test.each([
    [`SHA256:${digest('hex')}`, 'the signature is hex, not base64'],
    [`SHA256:${digest('hex').toUpperCase()}`, 'the signature is hex, not base64'],
    [digest('hex'), 'the prefix SHA256: is missing; the signature is hex, not base64'],
    [
      `sha256=${digest('hex')}`,
      "the algorithm is followed by '=', not ':'; the algorithm must be written SHA256; the signature is hex, not base64",
    ],
    [`SHA256:${digest('base64').slice(0, -1)}`, 'the signature lacks its base64 padding'],
    [digest('base64'), 'the prefix SHA256: is missing'],
    [`sha256:${digest('base64')}`, 'the algorithm must be written SHA256'],
    [`SHA-256:${digest('base64')}`, 'the algorithm must be written SHA256'],
    [`HMAC-SHA256:${digest('base64')}`, 'the algorithm must be written SHA256'],
    [`SHA256: ${digest('base64')}`, "there is white space around the ':'"],
    [` SHA256:${digest('base64')}`, 'there is white space around the signature'],
    [`"SHA256:${digest('base64')}"`, 'the signature is enclosed in quotes'],
    [`Entrupy-Signature: SHA256:${digest('base64')}`, "the value repeats the header's name"],
    [
      `SHA256:${Buffer.from(digest('hex')).toString('base64')}`,
      'the signature is the base64 of the hex text, not of the 32 bytes',
    ],
  ])('%s', (given, expected) => {
    expect(hint(given)).toBe(`${expected}; otherwise it is correct`);
    expect(formHint(given)).toBe(expected);
  });

  test('url-safe base64', () => {
    // Found by trying bodies until the digest holds a +.
    let body = '';
    while (!sign(SECRET, body).slice(7).includes('+')) body += 'x';
    const standard = sign(SECRET, body);
    expect(hint(standard.replaceAll('+', '-').replaceAll('/', '_'), body)).toMatch(
      /^the signature is url-safe base64, not standard base64; otherwise/,
    );
  });

  test.each([
    ['', 'the signature is empty'],
    ['SHA512:abc', 'the signature names an algorithm other than SHA256'],
    ['MD5:abc', 'the signature names an algorithm other than SHA256'],
    [`SHA256:${Buffer.alloc(20).toString('base64')}`, 'the signature is not the base64 of 32 bytes'],
    [`SHA256:${'ab'.repeat(64)}`, 'the signature is not the base64 of 32 bytes'],
    ['SHA256:abc', 'the signature is not the base64 of 32 bytes'],
    ['SHA256:', 'the signature is not base64'],
    ['SHA256:a:b', 'the signature is not base64'],
    [
      `SHA256:${digest('base64')},SHA256:${digest('base64')}`,
      'the header holds a list; exactly one SHA256:<base64> is allowed',
    ],
    [`t=1,v1=${digest('hex')}`, 'the header holds a list; exactly one SHA256:<base64> is allowed'],
    ['A'.repeat(5000), 'the signature is far too long'],
  ])('%j cannot be decoded', (given, expected) => {
    expect(hint(given)).toBe(expected);
    expect(formHint(given)).toBe(expected);
  });

  test('neither a good form nor a good signature has a hint', () => {
    expect(formHint(sign(SECRET, COMPACT))).toBeNull();
    expect(hint(sign(SECRET, COMPACT))).toBeNull();
  });
});

describe('the secret', () => {
  test.each([
    [`${SECRET}\n`, 'the secret was used with a trailing newline'],
    [`${SECRET}\r\n`, 'the secret was used with a trailing newline (CRLF)'],
    [`"${SECRET}"`, 'the secret was used with quotes around it'],
    [Buffer.from(SECRET, 'base64'), 'the secret was base64-decoded by the sender'],
    [
      Buffer.from(SECRET).toString('base64'),
      "the base64 text of the secret was used (as in a Kubernetes Secret's data)",
    ],
    ['', 'signed with an empty secret'],
    ['your-secret-key-here', "signed with the placeholder of Entrupy's example instead of a secret"],
  ])('%j', (used, expected) => {
    expect(hint(sign(used, COMPACT))).toBe(expected);
  });

  test.each([
    [`${SECRET}  `, SECRET, 'the secret was used without the white space around it'],
    [`"${SECRET}"`, SECRET, 'the secret was used without its quotes'],
    ['6b65792d6f662d736978746565', Buffer.from('key-of-sixtee'), 'the secret was hex-decoded by the sender'],
    [
      Buffer.from('a-secret-from-echo\n').toString('base64'),
      'a-secret-from-echo',
      'the secret was base64-decoded by the sender',
    ],
  ])('%j here, %j there', (ours, theirs, expected) => {
    expect(hint(sign(theirs, COMPACT), COMPACT, [key('current', ours)])).toBe(expected);
  });

  test.each([
    ['other_route', 'signed with secret "x" of another route'],
    ['expired', 'signed with secret "x", which has expired'],
    ['not_yet', 'signed with secret "x", which is not valid yet'],
  ] as const)('%s', (use, expected) => {
    const keys = [key('x', OTHER, use), key('current', SECRET)];
    expect(hint(sign(OTHER, COMPACT), COMPACT, keys)).toBe(expected);
    expect(hint(sign(`${OTHER}\n`, COMPACT), COMPACT, keys)).toBe(
      `the secret was used with a trailing newline; ${expected}`,
    );
    expect(hint(sign(OTHER, ''), COMPACT, keys)).toBe(`an empty body was signed; ${expected}`);
  });

  test('swapped with the body, or not used at all', () => {
    expect(hint(`SHA256:${createHmac('sha256', COMPACT).update(SECRET).digest('base64')}`)).toBe(
      'the secret and the body were swapped when signing',
    );
    expect(hint(`SHA256:${createHash('sha256').update(COMPACT).digest('base64')}`)).toBe(
      'the signature is a plain SHA-256 of the body, made without a secret',
    );
  });
});

describe('the body', () => {
  const spaced = COMPACT.replace(/([,:])(?=["[{\dn])/g, '$1 ');
  test.each<[signed: string | Buffer, arrived: string | Buffer, expected: string]>([
    ['', COMPACT, 'an empty body was signed'],
    [
      `${COMPACT}\n`,
      COMPACT,
      'the signature covers a trailing line break that the body lacks (echo adds one, curl -d drops it)',
    ],
    [COMPACT, `${COMPACT}\n`, 'the body has a trailing line break that the signature does not cover'],
    [COMPACT, ` ${COMPACT} `, 'the body was signed without the white space around it'],
    ['{\n"a":1\n}', '{\r\n"a":1\r\n}', 'line breaks were changed on the way (LF was signed, CRLF arrived)'],
    ['{\r\n"a":1\r\n}', '{\n"a":1\n}', 'line breaks were changed on the way (CRLF was signed, LF arrived)'],
    [`\ufeff${COMPACT}`, COMPACT, 'the byte order mark of the body was removed on the way'],
    [COMPACT, `\ufeff${COMPACT}`, 'a byte order mark was added to the body on the way'],
    [
      Buffer.from('{"é":1}', 'latin1'),
      '{"é":1}',
      'the body was re-encoded on the way (Latin-1 was signed, UTF-8 arrived)',
    ],
    [
      '{"é":1}',
      Buffer.from('{"é":1}', 'latin1'),
      'the body was re-encoded on the way (UTF-8 was signed, Latin-1 arrived)',
    ],
    [
      Buffer.from('é "sic"', 'utf16le'),
      'é "sic"',
      'the body was re-encoded on the way (UTF-16 was signed, UTF-8 arrived)',
    ],
    [COMPACT, JSON.stringify(ITEM, null, 2), 'the body was re-serialised on the way (JSON compact matches)'],
    [spaced, COMPACT, 'the body was re-serialised on the way (JSON spaced as by json.dumps matches)'],
    [
      asciiOnly(spaced),
      COMPACT,
      'the body was re-serialised on the way (JSON spaced and escaped as by json.dumps matches)',
    ],
    [asciiOnly(COMPACT), COMPACT, 'the body was re-serialised on the way (JSON compact with \\u escapes matches)'],
    [COMPACT, asciiOnly(COMPACT), 'the body was re-serialised on the way (JSON compact matches)'],
    [
      COMPACT.replaceAll('/', '\\/'),
      COMPACT,
      'the body was re-serialised on the way (JSON compact with escaped slashes matches)',
    ],
    [
      asciiOnly(COMPACT).replaceAll('/', '\\/'),
      spaced,
      'the body was re-serialised on the way (JSON compact with escaped slashes and \\u escapes, as by PHP matches)',
    ],
    [
      COMPACT.replaceAll('&', '\\u0026').replaceAll('<', '\\u003c').replaceAll('>', '\\u003e'),
      COMPACT,
      'the body was re-serialised on the way (JSON compact with <, > and & escaped, as by Go matches)',
    ],
    [JSON.stringify(ITEM, null, 2), COMPACT, 'the body was re-serialised on the way (JSON indented by 2 matches)'],
    [
      `${JSON.stringify(ITEM, null, 2)}\n`,
      COMPACT,
      'the body was re-serialised on the way (JSON indented by 2, with a final line break matches)',
    ],
    [JSON.stringify(ITEM, null, 4), COMPACT, 'the body was re-serialised on the way (JSON indented by 4 matches)'],
    [
      '{"a":[1.0,1e5],"b":2}',
      '{"b":2,"a":[1.0,1e5]}',
      'the body was re-serialised on the way (JSON compact with sorted keys matches)',
    ],
    [
      '{"n":1}',
      '{"n":1.0}',
      'the body was re-serialised on the way (JSON as JSON.parse and JSON.stringify make it matches)',
    ],
    [
      '{"id":12345678901234567890,"x":1.50}',
      '{ "id": 12345678901234567890, "x": 1.50 }',
      'the body was re-serialised on the way (JSON compact matches)',
    ],
    [COMPACT, gzipSync(COMPACT), 'the body was signed before it was compressed'],
    [COMPACT, JSON.stringify(COMPACT), 'the body was wrapped in a JSON string after it was signed'],
    [COMPACT, Buffer.from(COMPACT).toString('base64'), 'the body was base64-encoded after it was signed'],
    [Buffer.from(COMPACT).toString('base64'), COMPACT, 'the base64 of the body was signed'],
    [
      createHash('sha256').update(COMPACT).digest('hex'),
      COMPACT,
      'the hex SHA-256 of the body was signed, not the body',
    ],
  ])('signed %j, arrived %j', (signed, arrived, expected) => {
    expect(hint(sign(SECRET, signed), arrived)).toBe(expected);
  });

  test('that was tampered with has no explanation', () => {
    expect(hint(sign(SECRET, COMPACT), COMPACT.replace('null', 'true'))).toBeNull();
  });

  test('beyond maxBytes is tried only unchanged', () => {
    const long = Buffer.from(`"${'x'.repeat(70_000)}"`);
    expect(hint(sign(OTHER, long), long)).toBe('signed with secret "partner" of another route');
    expect(hint(sign(SECRET, `${long}\n`), long)).toBeNull();
  });
});

describe('any input', () => {
  // Each was slow in a first draft, or could have been: nesting, unclosed strings, whitespace, decompression.
  test.each<[name: string, body: Buffer]>([
    ['a depth bomb', Buffer.from('['.repeat(65_000))],
    ['a closed depth bomb', Buffer.from('['.repeat(32_000) + ']'.repeat(32_000))],
    ['indentation that explodes', Buffer.from(`${'['.repeat(63)}${'1,'.repeat(32_000)}1${']'.repeat(63)}`)],
    ['unclosed strings', Buffer.from(`"${'\\"'.repeat(32_000)}`)],
    ['white space', Buffer.from(`${' '.repeat(65_000)}!`)],
    ['line breaks', Buffer.from('\n'.repeat(65_000))],
    ['escapes', Buffer.from(`[${'"é",'.repeat(13_000)}"é"]`)],
    ['a decompression bomb', gzipSync(Buffer.alloc(32 * 1024 * 1024))],
  ])('%s costs no more than the bound', (_, body) => {
    const before = process.cpuUsage();
    expect(hint(`SHA256:${Buffer.alloc(32).toString('base64')}`, body)).toBeNull();
    // Microseconds of CPU time: some 15,000; the failure that this guards against takes millions.
    expect(process.cpuUsage(before).user).toBeLessThan(500_000);
  });

  test('no hint holds a secret, digest or input text, and nothing throws', () => {
    const header = fc.oneof(
      fc.string(),
      fc
        .constantFrom('SHA256:', 'sha256=', '')
        .chain((prefix) => fc.string({ unit: fc.constantFrom(...'0123abcdefXYZ+/=-_ ,:"%') }).map((s) => prefix + s)),
      fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => `SHA256:${Buffer.from(bytes).toString('base64')}`),
    );
    const body = fc.oneof(
      fc.json(),
      fc.string({ unit: 'binary' }),
      fc.constantFrom('{', '{"a"', '{"a":}', '{]', '[[1,,]', '"\\u12"', '{"__proto__":1}', '[01]'),
    );
    fc.assert(
      fc.property(header, body, (given, text) => {
        const found = hint(given, text) ?? '';
        expect(found).toMatch(/^[\x20-\x7e]*$/);
        for (const secret of [SECRET, OTHER, digest('base64'), digest('hex')]) expect(found).not.toContain(secret);
        if (given.length > 24) expect(found).not.toContain(given.slice(-20));
      }),
      { numRuns: 300 },
    );
  });
});

describe('a body that was decompressed on the way, while its header stayed', () => {
  const compressed = sign(SECRET, gzipSync(COMPACT));
  const at = (body: string | Buffer, lines: readonly string[]) =>
    diagnose({ body: Buffer.from(body), given: compressed, keys: KEYS, maxBytes: 64 * 1024, lines });

  test('is told', () => {
    expect(at(COMPACT, ['Host', 'h', 'content-Encoding', 'gzip'])).toMatch(/^the body was decompressed on the way/);
  });

  test('is not told of a body without the header, or one that is still compressed', () => {
    expect(at(COMPACT, ['Host', 'content-encoding'])).toBe(null);
    expect(at(gzipSync(`${COMPACT} `), ['content-encoding', 'gzip'])).toBe(null);
  });
});
