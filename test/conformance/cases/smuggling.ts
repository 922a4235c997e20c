// Smuggling: two servers disagree on where a body ends. Whatever could make them disagree is refused, or rewritten so
// that it cannot. Background: RFC 9112 (6.3, 11.2), proxy-request-smuggling advisories such as CVE-2026-29057.
import { get, inChunks, request } from '../../support/http/requests.ts';
import {
  closing,
  delivered,
  forged,
  refused,
  row,
  served,
  signatureLine,
  signed,
  signedAbc,
  unauthorized,
  type WireCase,
} from '../wire-case.ts';

const ATTACK = forged('forged');
const EXPECT = { lines: ['Expect: 100-continue'] };
const openPost = (framing: readonly string[], body: string) =>
  request(['POST /open HTTP/1.1', 'Host: a', ...framing], body);

/** Forms of Transfer-Encoding that some servers read as chunked and others do not. */
const CODINGS: readonly (readonly [string, readonly string[]])[] = [
  ['chunked twice in one line', ['Transfer-Encoding: chunked, chunked']],
  ['chunked twice in two lines', ['Transfer-Encoding: chunked', 'Transfer-Encoding: chunked']],
  ['identity, then chunked', ['Transfer-Encoding: identity', 'Transfer-Encoding: chunked']],
  ['chunked, then identity', ['Transfer-Encoding: chunked', 'Transfer-Encoding: identity']],
  ['gzip, chunked', ['Transfer-Encoding: gzip, chunked']],
  ['chunked, gzip', ['Transfer-Encoding: chunked, gzip']],
  ['identity alone', ['Transfer-Encoding: identity']],
  ['xchunked', ['Transfer-Encoding: xchunked']],
  ['a comma before', ['Transfer-Encoding: ,chunked']],
  ['a parameter', ['Transfer-Encoding: chunked;q=1']],
  ['quoted', ['Transfer-Encoding: "chunked"']],
  ['empty', ['Transfer-Encoding:']],
  ['a vertical tab before', ['Transfer-Encoding: \x0bchunked']],
  ['a NUL after', ['Transfer-Encoding: chunked\0']],
  ['a no-break space before', ['Transfer-Encoding: \xa0chunked']],
  ['a space before the colon', ['Transfer-Encoding : chunked']],
  ['a tab before the colon', ['Transfer-Encoding\t: chunked']],
  ['folded onto the next line', ['Transfer-Encoding:', ' chunked']],
];

const LENGTHS: readonly (readonly [string, readonly string[]])[] = [
  ['a zero before', ['Content-Length: 03']],
  ['a plus sign', ['Content-Length: +3']],
  ['hexadecimal', ['Content-Length: 0x3']],
  ['a fraction', ['Content-Length: 3.0']],
  ['empty', ['Content-Length:']],
  ['quoted', ['Content-Length: "3"']],
  ['a list of equal ones', ['Content-Length: 3, 3']],
  ['a list of different ones', ['Content-Length: 3, 5']],
  ['two equal lines', ['Content-Length: 3', 'Content-Length: 3']],
  ['two different lines', ['Content-Length: 3', 'Content-Length: 0']],
  ['two lines in different case', ['CONTENT-LENGTH: 3', 'X-A: b', 'content-length: 44']],
  ['more than 64 bits', ['Content-Length: 18446744073709551619']],
  ['more than a double holds exactly', ['Content-Length: 9007199254740993']],
];

const BOTH: readonly WireCase[] = [
  refused(
    'CL.TE',
    openPost([`Content-Length: ${5 + ATTACK.length}`, 'Transfer-Encoding: chunked'], `0\r\n\r\n${ATTACK}`),
  ),
  refused(
    'CL.TE, the length last',
    openPost(['Transfer-Encoding: chunked', 'Content-Length: 5'], `0\r\n\r\n${ATTACK}`),
  ),
  refused('TE.CL', openPost(['Content-Length: 4', 'Transfer-Encoding: chunked'], `6b\r\n${ATTACK}\r\n0\r\n\r\n`)),
  refused('CL.TE, signed', signedAbc(['Content-Length: 3', 'Transfer-Encoding: chunked'], '3\r\nabc\r\n0\r\n\r\n')),
  refused('CL and an odd TE', signedAbc(['Content-Length: 3', 'Transfer-Encoding: identity'], 'abc')),
  refused(
    'CL.0: two lengths, the second one 0',
    openPost([`Content-Length: ${ATTACK.length}`, 'Content-Length: 0'], ATTACK),
  ),
  refused(
    'TE on HTTP/1.0',
    request(['POST /open HTTP/1.0', 'Host: a', 'Transfer-Encoding: chunked'], `0\r\n\r\n${ATTACK}`),
  ),
];

/** One request for every server: the payload stays payload. */
const WHOLE: readonly WireCase[] = [
  served('a signed body that holds a request', signed(ATTACK), `POST /notify ${ATTACK}`),
  served(
    'an open GET whose body holds a request',
    get('/open', [`Content-Length: ${ATTACK.length}`]) + ATTACK,
    `GET /open ${ATTACK}`,
  ),
  ...['DELETE', 'OPTIONS', 'GET', 'PATCH'].map((method) => {
    const head = [`${method} /open HTTP/1.1`, 'Host: a', 'Transfer-Encoding: chunked'];
    const send = request(head, inChunks(ATTACK));
    return served(`an open ${method} in chunks that hold a request`, send, `${method} /open ${ATTACK}`);
  }),
  served(
    'an open HEAD whose body holds a request',
    request(['HEAD /open HTTP/1.1', 'Host: a', `Content-Length: ${ATTACK.length}`], ATTACK),
    `HEAD /open ${ATTACK}`,
    { head: true },
  ),
  unauthorized(
    'a length that swallows the next request',
    signed('abc').replace('Content-Length: 3', `Content-Length: ${3 + ATTACK.length}`) + ATTACK,
  ),
  delivered('chunked in mixed case', signedAbc(['Transfer-Encoding: ChUnKeD'], '3\r\nabc\r\n0\r\n\r\n'), {
    lines: ['Host: a', signatureLine('abc'), 'Content-Length: 3'],
  }),
  delivered('chunked after a tab', signedAbc(['Transfer-Encoding:\tchunked'], '3\r\nabc\r\n0\r\n\r\n')),
  delivered('a length between spaces', signedAbc(['Content-Length:  3  '], 'abc')),
  refused('a tab after a length', signedAbc(['Content-Length: 3\t'], 'abc')),
];

const PIPELINED: readonly WireCase[] = [
  row('a signed request, then a forged one', signed('abc') + ATTACK, {
    status: [200, 401],
    upstream: ['POST /notify abc'],
  }),
  row('an open request, then a forged one', get('/open') + ATTACK, { status: [200, 401], upstream: ['GET /open'] }),
  row('an open request without a length, then bytes that look like its body', `${openPost([], '')}${ATTACK}`, {
    status: [200, 401],
    upstream: ['POST /open'],
  }),
  row('a signed request, then its signature on another body', signed('abc') + signed('abc').replace(/abc$/, 'abd'), {
    status: [200, 401],
    upstream: ['POST /notify abc'],
  }),
  row('a length one too short', signed('abcd').replace('Length: 4', 'Length: 3') + ATTACK, {
    status: [401, 400],
    upstream: [],
    closes: true,
  }),
  row('a signed request, then garbage', `${signed('abc')}\x16\x03\x01\x02`, {
    status: [200, 400],
    upstream: ['POST /notify abc'],
    closes: true,
  }),
  closing(
    unauthorized(
      'a request after one that is refused and too long to drain',
      forged('x'.repeat(70_000)) + signed('abc'),
    ),
  ),
  closing(unauthorized('a request after a refused expectation and its body', forged('abc', EXPECT) + signed('abc'))),
  row('a request after an empty delivery with an expectation', signed('', EXPECT) + signed('abc'), {
    status: [200, 200],
    upstream: ['POST /notify', 'POST /notify abc'],
  }),
  served('a request after Connection: close', `${get('/open', ['Connection: close'])}${get('/open/b')}`, 'GET /open', {
    closes: true,
  }),
];

export const SMUGGLING: readonly WireCase[] = [
  ...BOTH,
  ...CODINGS.map(([name, lines]) => refused(`TE.TE: ${name}`, openPost(lines, `0\r\n\r\n${ATTACK}`))),
  ...LENGTHS.map(([name, lines]) => refused(`a length: ${name}`, signedAbc(lines, 'abc'))),
  ...WHOLE,
  ...PIPELINED,
];
