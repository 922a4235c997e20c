// Deliveries with a missing, repeated or look-alike signature, with Expect, and the order of all checks.

import { get, request } from '../../support/http/requests.ts';
import { forged, gated, row, signatureLine, signed, type WireCase } from '../wire-case.ts';

const RIGHT = signatureLine('abc');
const post = (lines: readonly string[]) => forged('abc', { lines });

const SIGNATURES: readonly WireCase[] = [
  row('no signature', post([]), { status: [401], upstream: [] }),
  row('two equal signatures', post([RIGHT, RIGHT]), { status: [401], upstream: [] }),
  row('a wrong one, then the right one', post(['Entrupy-Signature: SHA256:x', RIGHT]), { status: [401], upstream: [] }),
  row('the right one, then an empty one', post([RIGHT, 'Entrupy-Signature:']), { status: [401], upstream: [] }),
  row('one in two spellings', post([RIGHT, RIGHT.toLowerCase()]), { status: [401], upstream: [] }),
  row('a look-alike with a dot, alone', post([RIGHT.replace('Entrupy-', 'Entrupy.')]), { status: [401], upstream: [] }),
  row('the right one and a look-alike with a dot', post([RIGHT, 'entrupy.signature: x']), {
    status: [401],
    upstream: [],
  }),
  row('an empty look-alike', post([RIGHT, 'Entrupy.Signature:']), { status: [401], upstream: [] }),
  row('a look-alike on an open route', get('/open', ['Entrupy.Signature: x']), {
    status: [200],
    upstream: ['GET /open'],
  }),
  row('two signatures on an open route', get('/open', [RIGHT, RIGHT]), {
    status: [200],
    upstream: ['GET /open'],
    lines: ['Host: a', RIGHT, RIGHT],
  }),
  row('no signature, reported', post([]), { on: 'report', status: [200], upstream: ['POST /notify abc'] }),
  row('two signatures, reported', post([RIGHT, RIGHT]), {
    on: 'report',
    status: [200],
    upstream: ['POST /notify abc'],
  }),
  row('another method, reported', request(['PUT /notify HTTP/1.1', 'Host: a', 'Content-Length: 1'], 'x'), {
    on: 'report',
    status: [200],
    upstream: ['PUT /notify x'],
  }),
  gated('an underscore look-alike, reported', post(['Entrupy_Signature: x']), 'report'),
  gated('bad framing, reported', post(['Content-Length: 3']), 'report'),
];

const EXPECT: readonly WireCase[] = [
  row('Expect on a signed request', signed('abc', { lines: ['Expect: 100-continue'] }), {
    status: [200],
    informational: [100],
    upstream: ['POST /notify abc'],
    lines: ['Host: a', RIGHT, 'Content-Length: 3'],
  }),
  row('Expect in another case', signed('abc', { lines: ['expect: 100-Continue'] }), {
    status: [200],
    informational: [100],
    upstream: ['POST /notify abc'],
  }),
  row(
    'Expect on an unsigned request: no 100',
    request(['POST /notify HTTP/1.1', 'Host: a', 'Expect: 100-continue', 'Content-Length: 3']),
    {
      status: [401],
      upstream: [],
      closes: true,
    },
  ),
  row('Expect on an oversized body: no 100', signed('a'.repeat(17), { lines: ['Expect: 100-continue'] }), {
    on: 'small',
    status: [413],
    upstream: [],
    closes: true,
  }),
  gated(
    'Expect with bad framing: no 100',
    request(['POST /open HTTP/1.1', 'Host: a', 'Expect: 100-continue', 'Content-Length: 03']),
  ),
  gated('another expectation', signed('abc', { lines: ['Expect: 200-ok'] })),
  gated('two expectations', signed('abc', { lines: ['Expect: 100-continue, x'] })),
];

/** The order of the checks: gate, route, method, live secret, signature, declared length. */
const ORDER: readonly WireCase[] = [
  row('no live secret, signed', signed('abc'), { on: 'unready', status: [503], upstream: [] }),
  row('no live secret, unsigned', post([]), { on: 'unready', status: [503], upstream: [] }),
  row('no live secret, two signatures', post([RIGHT, RIGHT]), { on: 'unready', status: [503], upstream: [] }),
  row('no live secret, too large', signed('a'.repeat(17)), { on: 'unready', status: [503], upstream: [] }),
  row('no live secret, another method', request(['PUT /notify HTTP/1.1', 'Host: a']), {
    on: 'unready',
    status: [405],
    upstream: [],
  }),
  row('no live secret, a rejected route', get('/gone'), { on: 'unready', status: [404], upstream: [] }),
  row('no live secret, an open route', get('/open'), { on: 'unready', status: [200], upstream: ['GET /open'] }),
  row('no live secret, reported', forged('abc', { target: '/reported' }), {
    on: 'unready',
    status: [200],
    upstream: ['POST /reported abc'],
  }),
  gated('no live secret, a bad target', get('/notify#x'), 'unready'),
  row('unsigned and too large', forged('a'.repeat(17)), { on: 'small', status: [401], upstream: [] }),
  row('another method, unsigned and too large', forged('a'.repeat(17)).replace('POST', 'PUT'), {
    on: 'small',
    status: [405],
    upstream: [],
  }),
];

export const DELIVERIES: readonly WireCase[] = [...SIGNATURES, ...EXPECT, ...ORDER];
