// The usual mistakes, each really made and then found. A diagnosis must never throw, reveal a value or take long.
import { createHmac, createSecretKey } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import { describe, expect, test, vi } from 'vitest';
import type { Secret } from '../../../src/core/keyring.ts';
import { Head } from '../../../src/core/request-head.ts';
import { SIGNATURE_HEADER, signatureForm } from '../../../src/core/signature.ts';
import { isProven } from '../../../src/health/senders.ts';
import { createDiagnosis, diagnose } from '../../../src/hints/refused-signature.ts';
import { sign } from '../../support/deliveries/signer.ts';
import { read } from '../../support/machine/tools.ts';

const SECRET = 'c3VwZXItc2VjcmV0LW9mLXRoZS13ZWJob29rLTAx';
const OTHER = 'the-secret-of-another-route-0123456789';
const ITEM = {
  text: 'ルイ & <Vuitton>',
  site: 'https://cert.entrupy.com/1SALEFYH',
  epoch: [1566879268.34, 1, {}],
  a: { z: null, y: [] },
};
const COMPACT = JSON.stringify(ITEM);

const AT = Date.UTC(2026, 10, 24);
const OUTSIDE = { expired: { notAfter: AT - 1000 }, not_yet: { notBefore: AT + 1000 } };
const key = (id: string, secret: string, state?: keyof typeof OUTSIDE): Secret => ({
  ...{ id, key: createSecretKey(Buffer.from(secret)), notBefore: null, notAfter: null },
  ...(state && OUTSIDE[state]),
});
const KEYS = [key('current', SECRET), key('partner', OTHER)];
/** The route lists one secret; that of the partner is another route's. */
const ROUTE = { listed: ['current'], at: AT, maxBytes: 64 * 1024 };

function found(given: string, body: Buffer | string = COMPACT, { secrets = KEYS, lines = [] as string[] } = {}) {
  return diagnose({ body: Buffer.from(body), given, secrets, lines, ...ROUTE });
}

const hint = (...of: Parameters<typeof found>): string | null => found(...of)?.text ?? null;

const headWith = (given: string) =>
  new Head({ method: 'POST', target: '/', version: '1.1' }, [SIGNATURE_HEADER, given]);

/** The proxy's hint from the header alone. */
function formHint(given: string): string | null {
  const head = headWith(given);
  return createDiagnosis().form(head, signatureForm(head).reason ?? 'none')?.text ?? null;
}

const digest = (encoding: 'hex' | 'base64' | 'base64url') =>
  createHmac('sha256', SECRET).update(COMPACT).digest(encoding);
const asciiEscape = (c: string) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`;
const asciiOnly = (text: string) => text.replace(/[^\x20-\x7e]/g, asciiEscape);

describe('a signature of the wrong form is described, with a note if it is otherwise right', () => {
  const [hex, base64] = [digest('hex'), digest('base64')];
  const [isHex, isOther] = ['the signature is hex, not base64', 'the header is not SHA256:<base64> and nothing else'];
  test.each([
    [`SHA256:${hex}`, isHex],
    [`SHA256:${hex.toUpperCase()}`, isHex],
    [`sha256=${hex}`, `${isOther}; ${isHex}`],
    [`SHA256:${base64.slice(0, -1)}`, 'the signature lacks its base64 padding'],
    ...['', 'sha256:', 'SHA-256:', 'HMAC-SHA256:', 'SHA256: ', ' SHA256:', 'Entrupy-Signature: SHA256:'].map(
      (prefix) => [prefix + base64, isOther],
    ),
    [`"SHA256:${base64}"`, isOther],
    [`SHA256:${btoa(hex)}`, 'the signature is the base64 of the hex text, not of the 32 bytes'],
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

  const not32 = 'the signature is not the base64 of 32 bytes';
  const both = `${isOther}; ${not32}`;
  test.each([
    ...['', 'SHA512:abc', 'MD5:abc', 'SHA256:a:b', `SHA256:${base64},SHA256:${base64}`, `t=1,v1=${hex}`].map(
      (given) => [given, both],
    ),
    [`SHA256:${Buffer.alloc(20).toString('base64')}`, not32],
    [`SHA256:${'ab'.repeat(64)}`, not32],
    ['SHA256:abc', not32],
    ['SHA256:', not32],
    ['A'.repeat(5000), both],
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
  const CLOCK = "this machine's clock says 2026-11-24T00:00:00Z";
  const bare = 'the secret here has white space or quotes around it, the one of the sender has not';
  type Mistake = [ours: string, theirs: string | Buffer, expected: string];
  test.each<Mistake>([
    [SECRET, `${SECRET}\n`, 'the secret was used with a trailing newline'],
    [
      SECRET,
      Buffer.from(SECRET, 'base64'),
      'the secret was base64-decoded by the sender, or is base64 text here alone',
    ],
    [SECRET, btoa(SECRET), "the base64 text of the secret was used (as in a Kubernetes Secret's data)"],
    [SECRET, '', 'signed with an empty secret'],
    [`${SECRET}  `, SECRET, bare],
    [`"${SECRET}"`, SECRET, bare],
    [SECRET, `"${SECRET}"`, 'the secret of the sender has quotes around it, the one here has not'],
    ...[`${SECRET}\r\n`, `${SECRET} `, ` ${SECRET}`, `\t${SECRET}`, `\n${SECRET}`].map((spaced): Mistake => {
      return [SECRET, spaced, 'the secret of the sender has white space around it, the one here has not'];
    }),
    [
      '6b65792d6f662d736978746565',
      Buffer.from('key-of-sixtee'),
      'the secret was hex-decoded by the sender, or is hex text here alone',
    ],
  ])('%j here, %j there', (ours, theirs, expected) => {
    expect(hint(sign(theirs, COMPACT), COMPACT, { secrets: [key('current', ours), ...KEYS.slice(1)] })).toBe(expected);
  });

  test.each([
    [undefined, 'signed with secret "x" of another route'],
    ['expired', `signed with secret "x", which has expired (expired at 2026-11-23T23:59:59Z; ${CLOCK})`],
    ['not_yet', `signed with secret "x", which is not valid yet (not valid before 2026-11-24T00:00:01Z; ${CLOCK})`],
  ] as const)('of another route, or %s', (state, expected) => {
    const keys = { secrets: [key('x', OTHER, state), key('current', SECRET)] };
    expect(hint(sign(OTHER, COMPACT), COMPACT, keys)).toBe(expected);
    const newline = `the secret was used with a trailing newline; ${expected}`;
    expect(hint(sign(`${OTHER}\n`, COMPACT), COMPACT, keys)).toBe(newline);
    expect(hint(sign(OTHER, ''), COMPACT, keys)).toBe(`an empty body was signed; ${expected}`);
  });
});

describe('the body', () => {
  const spaced = COMPACT.replace(/([,:])(?=["[{\dn])/g, '$1 ');
  const breaks = 'line breaks were changed on the way';
  const encoded = 'the body was re-encoded on the way';
  const json = (style: string) => `the body was re-serialised on the way (JSON ${style} matches)`;
  const lost = 'the signature covers a trailing line break that the body lacks (echo adds one, curl -d drops it)';
  const latin1 = Buffer.from('{"é":1}', 'latin1');
  const big = '{"id":12345678901234567890,"x":1.50,"2":{},"1":1.0}';
  test.each<[signed: string | Buffer, arrived: string | Buffer, expected: string]>([
    ['', COMPACT, 'an empty body was signed'],
    [COMPACT, '', 'the body came empty, so something in front may drop it'],
    [`${COMPACT}\n`, COMPACT, lost],
    [COMPACT, `${COMPACT}\n`, 'the body has a trailing line break that the signature does not cover'],
    [COMPACT, ` ${COMPACT} `, 'the body was signed without the white space around it'],
    ['{\n"a":1\n}', '{\r\n"a":1\r\n}', `${breaks} (LF was signed, CRLF arrived)`],
    ['{\r\n"a":1\r\n}', '{\n"a":1\n}', `${breaks} (CRLF was signed, LF arrived)`],
    [`\ufeff${COMPACT}`, COMPACT, 'the byte order mark of the body was removed on the way'],
    [COMPACT, `\ufeff${COMPACT}`, 'a byte order mark was added to the body on the way'],
    [latin1, '{"é":1}', `${encoded} (Latin-1 was signed, UTF-8 arrived)`],
    ['{"é":1}', latin1, `${encoded} (UTF-8 was signed, Latin-1 arrived)`],
    [COMPACT, JSON.stringify(ITEM, null, 2), json('compact')],
    [spaced, COMPACT, json('spaced as by json.dumps')],
    [asciiOnly(spaced), COMPACT, json('spaced and escaped as by json.dumps')],
    [asciiOnly(COMPACT), COMPACT, json('compact with \\u escapes')],
    [COMPACT, asciiOnly(COMPACT), json('compact')],
    [big, big.replaceAll(':', ' : '), json('compact')],
    [COMPACT, gzipSync(COMPACT), 'the body was signed before it was compressed'],
  ])('signed %j, arrived %j', (signed, arrived, expected) => {
    expect(hint(sign(SECRET, signed), arrived)).toBe(expected);
  });

  test('beyond maxBytes is tried only unchanged', () => {
    const long = Buffer.from(`"${'x'.repeat(70_000)}"`);
    expect(hint(sign(OTHER, long), long)).toBe('signed with secret "partner" of another route');
    expect(hint(sign(SECRET, `${long}\n`), long)).toBeNull();
  });
});

test('of a flood ten a second are diagnosed, by their form or by their body; others get a guess if they look alike', () => {
  vi.useFakeTimers({ now: AT });
  const { form, mismatch } = createDiagnosis();
  const head = new Head({ method: 'POST', target: '/', version: '1.1' }, [SIGNATURE_HEADER, 'SHA256:x']);
  const [body, given] = [Buffer.from(COMPACT), sign(OTHER, COMPACT)];
  const ofForm = () => form(head, 'malformed_signature') !== null;
  const found = (agent: string, listed = ['current']) =>
    mismatch({ body, given, secrets: KEYS, listed, at: AT, lines: ['User-Agent', agent] });
  const ofBody = () => found('a')?.isGuess === false;
  const five = () => [ofForm(), ofBody(), ofForm(), ofBody(), ofForm()];
  expect([...five(), ...five(), ofBody(), ofForm()]).toEqual([...Array(10).fill(true), false, false]);
  const text = 'not examined; one like it: signed with secret "partner" of another route';
  expect(found('a')).toEqual({ diagnosis: 'other-route-secret', text, isGuess: true });
  expect(found('a', []), 'on a route with other secrets').toBeNull();
  expect(found('b')).toBeNull();
  // Nothing proves it, so it makes no sender of whoever looks alike.
  expect(isProven({ hint: found('a') })).toBe(false);
  vi.setSystemTime(AT + 1000);
  expect(ofBody()).toBe(true);
});

// Each was slow in a first draft, or could have been: nesting, unclosed strings, whitespace, decompression.
test.each<[name: string, body: Buffer]>([
  ['a depth bomb', Buffer.from('['.repeat(65_000))],
  ['unclosed strings', Buffer.from(`"${'\\"'.repeat(32_000)}`)],
  ['white space', Buffer.from(`${' '.repeat(65_000)}!`)],
  ['escapes', Buffer.from(`[${'"é",'.repeat(13_000)}"é"]`)],
  ['a decompression bomb', gzipSync(Buffer.alloc(32 * 1024 * 1024))],
])('%s, as any input, costs no more than the bound', (_, body) => {
  const before = process.cpuUsage();
  expect(hint(`SHA256:${Buffer.alloc(32).toString('base64')}`, body)).toBeNull();
  // Microseconds of CPU time: some 15,000; the failure that this guards against takes millions.
  expect(process.cpuUsage(before).user).toBeLessThan(500_000);
});

test('a body that was decompressed on the way is told, if its header stayed and it is not still compressed', () => {
  const compressed = sign(SECRET, gzipSync(COMPACT));
  const at = (body: string | Buffer, ...lines: string[]) => hint(compressed, body, { lines });
  expect(at(COMPACT, 'Host', 'h', 'content-Encoding', 'gzip')).toMatch(/^the body was decompressed on the way/);
  expect(at(COMPACT, 'Host', 'content-encoding')).toBe(null);
  expect(at(gzipSync(`${COMPACT} `), 'content-encoding', 'gzip')).toBe(null);
});

describe('each mistake has its diagnosis, which says where it is fixed', () => {
  const [OLD, NEW] = ['the-secret-that-has-expired-0123456789', 'the-secret-of-next-month-0123456789'];
  const secrets = [...KEYS, key('old', OLD, 'expired'), key('new', NEW, 'not_yet')];

  test.each([
    ['trailing-newline', sign(`${SECRET}\n`, COMPACT), COMPACT],
    ['other-route-secret', sign(OTHER, COMPACT), COMPACT],
    ['body-changed', sign(SECRET, COMPACT), JSON.stringify(ITEM, null, 2)],
    ['body-changed', sign(SECRET, `${COMPACT}\n`), `${COMPACT}\r\n`],
    ['body-compressed', sign(SECRET, COMPACT), gzipSync(COMPACT)],
  ])('%s', (diagnosis, given, body) => expect(found(given, body, { secrets })?.diagnosis).toBe(diagnosis));

  // The runbook's section of a diagnosis must name what really gets it.
  test.each([
    ['signature-form', 'as hex', `SHA256:${digest('hex')}`],
    ['signature-form', 'URL-safe base64', `SHA256:${digest('base64url')}`],
    ['signature-form', 'without the prefix', digest('base64')],
    ['signature-form', 'the padding', `SHA256:${digest('base64').slice(0, -1)}`],
    ['secret-form', 'plain and as base64', sign(Buffer.from(SECRET, 'base64'), COMPACT)],
    ['sender-signs', 'an empty secret', sign('', COMPACT)],
    ['sender-signs', 'something else than exactly the body', sign(SECRET, '')],
    ['secret-form', 'with and without quotes', sign(`"${SECRET}"`, COMPACT)],
    ['secret-form', 'as in a Kubernetes Secret', sign(Buffer.from(SECRET).toString('base64'), COMPACT)],
  ] as const)('%s: %s', (diagnosis, words, given) => {
    expect(found(given)?.diagnosis).toBe(diagnosis);
    const sections = read('docs/alerts.md').split('\n### ').slice(1);
    expect(sections.filter((text) => text.includes(words)).map((text) => text.split('\n')[0])).toEqual([diagnosis]);
    if (diagnosis !== 'signature-form') return;
    expect(signatureForm(headWith(given)).reason).toMatch(/^(?:malformed_signature|unsupported_algorithm)$/);
    expect(createDiagnosis().form(headWith(given), 'malformed_signature')?.diagnosis).toBe(diagnosis);
  });

  test('a secret outside its dates is named, and not only in words', () => {
    expect(found(sign(OLD, COMPACT), COMPACT, { secrets })).toMatchObject({
      diagnosis: 'expired-secret',
      secret: 'old',
    });
    expect(found(sign(NEW, COMPACT), COMPACT, { secrets })).toMatchObject({ diagnosis: 'early-secret', secret: 'new' });
    // Whoever fixes the form of the signature alone is refused again.
    const hex = `SHA256:${createHmac('sha256', OLD).update(COMPACT).digest('hex')}`;
    const text = expect.stringMatching(/^the signature is hex/);
    expect(found(hex, COMPACT, { secrets })).toMatchObject({ diagnosis: 'expired-secret', text });
  });
});
