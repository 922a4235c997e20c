// Targets by the table of spellings, on the wire: those that the gate refuses, that a server could read as a verified route, and
// that must keep working; then methods, routes and queries.
import { get, request } from '../../support/http/requests.ts';
import { SPELLINGS, type SpellingTreatment } from '../../testdata/spellings.ts';
import {
  delivered,
  forged,
  gated,
  methodRefused,
  routeRejected,
  row,
  served,
  signed,
  unauthorized,
  type WireCase,
} from '../wire-case.ts';

const BY_TREATMENT: Readonly<Record<SpellingTreatment, (target: string) => WireCase>> = {
  refused: (target) => gated(`target: ${target}`, get(target), 'open'),
  verified: (target) => unauthorized(`unsigned, read as /notify: ${target}`, forged('x', { target }), 'open'),
  open: (target) => served(`open: ${target}`, get(target), `GET ${target}`, { on: 'open' }),
};

const METHODS: readonly WireCase[] = [
  ...['GET', 'PUT', 'DELETE', 'OPTIONS', 'PATCH', 'TRACE', 'PROPFIND'].map((method) =>
    methodRefused(`${method} on a verified route`, request([`${method} /notify HTTP/1.1`, 'Host: a'])),
  ),
  row('HEAD on a verified route', request(['HEAD /notify HTTP/1.1', 'Host: a']), {
    status: [405],
    upstream: [],
    head: true,
  }),
  ...['PUT', 'DELETE', 'OPTIONS', 'PATCH', 'PROPFIND', 'PURGE', 'M-SEARCH', 'REPORT'].map((method) =>
    served(
      `${method} on an open route`,
      request([`${method} /open HTTP/1.1`, 'Host: a', 'Content-Length: 0']),
      `${method} /open`,
    ),
  ),
  ...['post', 'Post', 'FOO', 'POSTX', 'PO ST', '', '"POST"', 'POST\0'].map((method) =>
    gated(`method: ${JSON.stringify(method)}`, request([`${method} /notify HTTP/1.1`, 'Host: a', 'Content-Length: 0'])),
  ),
  gated('CONNECT to an authority', request(['CONNECT a:80 HTTP/1.1', 'Host: a:80'])),
  gated('CONNECT to a path', request(['CONNECT /notify HTTP/1.1', 'Host: a'])),
  gated('OPTIONS *', request(['OPTIONS * HTTP/1.1', 'Host: a'])),
];

const ROUTING: readonly WireCase[] = [
  routeRejected('a rejected route', get('/gone')),
  routeRejected('a rejected route, in another spelling', get('/x/../%67one'), 'open'),
  routeRejected('a target that could be a verified and a rejected route', forged('x', { target: '/gone/..;/notify' })),
  routeRejected('unmatched: reject', get('/nothing'), 'closed'),
  unauthorized('unmatched: verify, unsigned', forged('x', { target: '/nothing' })),
  methodRefused('unmatched: verify, another method', get('/nothing')),
  unauthorized('out of a forward wildcard', forged('x', { target: '/open/../secret' })),
  unauthorized('out of a forward wildcard, encoded', forged('x', { target: '/open/%2e%2e%2fsecret' })),
  unauthorized('below a verified wildcard', forged('x', { target: '/admin/a/b' }), 'open'),
  unauthorized('the stem of a verified wildcard', forged('x', { target: '/admin' }), 'open'),
  served(
    'an exact route does not match below its path',
    forged('x', { target: '/open/notify' }),
    'POST /open/notify x',
  ),
];

const QUERIES: readonly WireCase[] = [
  gated(
    'a signed delivery with a query where queries are refused',
    signed('abc', { target: '/notify?a=b' }),
    'queryless',
  ),
  gated('an empty query', signed('abc', { target: '/notify?' }), 'queryless'),
  gated('a query is checked before the method', get('/notify?a'), 'queryless'),
  gated('a query in report mode', forged('abc', { target: '/reported?a' }), 'queryless'),
  gated('a query on a spelling of the route', signed('abc', { target: '/x/../notify?a' }), 'queryless'),
  delivered('no query', signed('abc'), { on: 'queryless' }),
  routeRejected('an encoded question mark in the path of another route', get('/gone%3Fa'), 'queryless'),
  served('a query on an open route', get('/open?a'), 'GET /open?a', { on: 'queryless' }),
  served('a query where it is not refused', signed('abc', { target: '/notify?a=b' }), 'POST /notify?a=b abc'),
];

export const TARGETS: readonly WireCase[] = [
  // A space at its end is one of the request line.
  ...SPELLINGS.filter(({ target }) => !target.endsWith(' ')).map(({ target, treatment }) =>
    BY_TREATMENT[treatment](target),
  ),
  ...METHODS,
  ...ROUTING,
  ...QUERIES,
];
