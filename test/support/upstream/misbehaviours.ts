// The ways in which an upstream may respond, row by row, and what the client may get in each case.

import { ANYTHING, HALVES } from './half-answers.ts';
import {
  answers,
  CHUNKED,
  chunks,
  head,
  type Misbehaviour,
  POISON,
  says,
  saysAndEnds,
  saysAndLeaves,
  textOf,
  whole,
} from './misbehaviour.ts';
import { NO_ANSWERS } from './no-answers.ts';

/** By the RFC. */
export const HONEST: readonly Misbehaviour[] = [
  answers('a length', says(whole)),
  answers(
    'chunks',
    says((id) => `${head(id, [CHUNKED])}${chunks(id)}0\r\n\r\n`),
  ),
  answers(
    'chunks and trailers',
    says((id) => `${head(id, [CHUNKED])}${chunks(id)}0\r\nX-T: 1\r\n\r\n`),
  ),
  answers(
    'until the close',
    saysAndEnds((id) => head(id) + textOf(id)),
  ),
  answers(
    'HTTP/1.0',
    saysAndEnds((id) => whole(id, [], 'HTTP/1.0 200 OK')),
  ),
  answers(
    'close',
    saysAndEnds((id) => whole(id, ['Connection: close'])),
  ),
  answers(
    '204',
    says((id) => head(id, [], 'HTTP/1.1 204 OK')),
    { bodiless: true },
  ),
  answers(
    'HEAD',
    says((id) => head(id, ['Content-Length: 5'])),
    { bodiless: true, method: 'HEAD' },
  ),
];

/** Odd, but complete: the response must arrive. */
const ODD: readonly Misbehaviour[] = [
  answers(
    'an unsolicited 100',
    says((id) => `HTTP/1.1 100 Continue\r\n\r\n${whole(id)}`),
  ),
  answers(
    '102 and 103',
    says((id) => `HTTP/1.1 102 P\r\n\r\nHTTP/1.1 103 E\r\nLink: </a>\r\n\r\n${whole(id)}`),
  ),
  answers(
    '100 interim responses',
    says((id) => 'HTTP/1.1 103 E\r\nA: b\r\n\r\n'.repeat(100) + whole(id)),
  ),
  answers(
    '100 times 100',
    says((id) => 'HTTP/1.1 100 C\r\n\r\n'.repeat(100) + whole(id)),
  ),
  answers(
    'bytes behind the response',
    says((id) => `${whole(id)}POISON`),
  ),
  answers(
    'a response behind the response',
    says((id) => whole(id) + POISON),
  ),
  answers(
    'a response behind chunks',
    says((id) => `${head(id, [CHUNKED])}${chunks(id)}0\r\n\r\n${POISON}`),
  ),
  answers(
    'a body with 204',
    says((id) => head(id, [], 'HTTP/1.1 204 OK') + POISON),
    { bodiless: true },
  ),
  answers(
    'a body with 304',
    says((id) => head(id, ['Content-Length: 6'], 'HTTP/1.1 304 OK') + POISON),
    {
      bodiless: true,
    },
  ),
  answers(
    'a body to HEAD',
    says((id) => whole(id) + POISON),
    { bodiless: true, method: 'HEAD' },
  ),
  answers(
    'chunks to HEAD',
    says((id) => `${head(id, [CHUNKED])}6\r\nPOISON\r\n0\r\n\r\n`),
    {
      bodiless: true,
      method: 'HEAD',
    },
  ),
  answers(
    'a reason in latin1',
    says((id) => whole(id, [], 'HTTP/1.1 200 d\xe9j\xe0 vu')),
    { reason: 'd\xe9j\xe0 vu' },
  ),
  answers(
    'no reason',
    says((id) => whole(id, [], 'HTTP/1.1 200 ')),
    { reason: '' },
  ),
  answers(
    'a reason with a control character',
    says((id) => whole(id, [], 'HTTP/1.1 200 a\x01b')),
    { reason: '' },
  ),
  answers(
    'a head of 60 KiB',
    says((id) => whole(id, Array(60).fill(`X-Big: ${'b'.repeat(1000)}`))),
  ),
  answers('early, and reads on', says(whole), { early: true }),
  answers(
    'early, and ends',
    saysAndEnds((id) => whole(id, ['Connection: close'])),
    { early: true },
  ),
  answers(
    'early, and leaves',
    saysAndLeaves((id) => whole(id, ['Connection: close'])),
    { early: true },
  ),
];

export const MISBEHAVIOURS: readonly Misbehaviour[] = [...ODD, ...NO_ANSWERS, ...HALVES, ...ANYTHING];
