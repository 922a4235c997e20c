// Targets that the gate refuses, targets that a server could read as a verified route, and targets that must keep
// working. The long list of spellings is tried on real servers in test/e2e; these rows cover each rule once.

import { get, request } from '../../support/http/requests.ts';
import { forged, gated, row, signed, type WireCase } from '../wire-case.ts';

const IN_PATH: readonly (readonly [string, string])[] = [
  ['a fragment', '/open#x'],
  ['a backslash', '/open\\x'],
  ['a double quote', '/open/"'],
  ['less than', '/open/<'],
  ['greater than', '/open/>'],
  ['a circumflex', '/open/^'],
  ['a backtick', '/open/`'],
  ['an opening brace', '/open/{'],
  ['a bar', '/open/|'],
  ['a closing brace', '/open/}'],
  ['raw non-ASCII', '/open/\xc3\xa9'],
  ['a control byte', '/open/\x01'],
  ['NUL', '/open/\0'],
  ['DEL', '/open/\x7f'],
  ['a tab', '/open/\t'],
  ['a vertical tab', '/open\x0b'],
  ['a lone percent sign', '/open/%'],
  ['half an escape', '/open/%4'],
  ['an escape that is not hexadecimal', '/open/%zz'],
  ['an IIS escape', '/%u006eotify'],
  ['an encoded NUL', '/open/%00'],
  ['an encoded LF', '/notify%0a'],
  ['an encoded unit separator', '/open/%1F'],
  ['an encoded DEL', '/open/%7f'],
  ['absolute-form', 'http://a/open'],
  ['absolute-form of another host', 'http://b/notify'],
  ['absolute-form without a path', 'http://a'],
  ['another scheme', 'file:///notify'],
  ['authority-form', 'a:80'],
  ['no slash', 'open'],
  ['an asterisk', '*'],
  ['a query alone', '?x'],
  ['a fragment in the query', '/open?x#y'],
  ['raw non-ASCII in the query', '/open?q=\xe9'],
  ['a control byte in the query', '/open?q=\x02'],
  ['DEL in the query', '/open?q=\x7f'],
  ['a space in the query', '/open?q=a b'],
];

/** Spellings that some servers read as `/notify`. */
const READ_AS_NOTIFY = [
  ...['/notify/', '//notify', '///notify', '/./notify', '/x/../notify', '/%2e/notify', '/x/%2e%2e/notify'],
  ...['/x/.%2E/notify', '/notify/.', '/notify/x/..', '/%6eotify', '/%6Eotif%79', '/%256eotify', '/%25256eotify'],
  ...['/NOTIFY', '/Notify', '/notify;a=b', '/notify;', '/;a/notify', '/x/..;/notify', '/.;/notify', '/%2fnotify'],
  ...['/x/..%2fnotify', '/x%2f..%2fnotify', '/%5cnotify', '/x%5c..%5cnotify', '/notify%20', '/notify.'],
  ...['/notify.json', '/notify:x', '/notify%3fx', '/notify%23x', '/notify%3bx', '/notify/x', '/index.php/notify'],
  ...['/index.php/%6eotify', '/%ef%bd%8eotify', '/notify?', '/notify?x=/open', '//x/notify', '/x//notify'],
  ...['/open%2f..%2fnotify', '/c/..%5cnotify', '/notify,x', '/notify~', '/notify!'],
];

const OPEN_TARGETS = [
  ...['/', '/shop/cart;jsessionid=1', '/files/a%2Fb', '/a//b', '/app/users/', '/x?q={a|b}', '/x?p=100%'],
  ...['/x?q="<>\\^`', '/x?q=%00%0a', '/x?a?b', '/x?/notify', '/x?../notify', '/notifyx', '/notify-x', '/my/notify'],
  ...['/%C3%A9', '/x?rest_route=/notify', "/a,b:c@d!$&'()*+="],
];

const METHODS: readonly WireCase[] = [
  ...['GET', 'PUT', 'DELETE', 'OPTIONS', 'PATCH', 'TRACE', 'PROPFIND'].map((method) =>
    row(`${method} on a verified route`, request([`${method} /notify HTTP/1.1`, 'Host: a']), {
      status: [405],
      upstream: [],
    }),
  ),
  row('HEAD on a verified route', request(['HEAD /notify HTTP/1.1', 'Host: a']), {
    status: [405],
    upstream: [],
    head: true,
  }),
  ...['PUT', 'DELETE', 'OPTIONS', 'PATCH', 'PROPFIND', 'PURGE', 'M-SEARCH', 'REPORT'].map((method) =>
    row(`${method} on an open route`, request([`${method} /open HTTP/1.1`, 'Host: a', 'Content-Length: 0']), {
      status: [200],
      upstream: [`${method} /open`],
    }),
  ),
  ...['post', 'Post', 'FOO', 'POSTX', 'PO ST', '', '"POST"', 'POST\0'].map((method) =>
    gated(`method: ${JSON.stringify(method)}`, request([`${method} /notify HTTP/1.1`, 'Host: a', 'Content-Length: 0'])),
  ),
  gated('CONNECT to an authority', request(['CONNECT a:80 HTTP/1.1', 'Host: a:80'])),
  gated('CONNECT to a path', request(['CONNECT /notify HTTP/1.1', 'Host: a'])),
  gated('OPTIONS *', request(['OPTIONS * HTTP/1.1', 'Host: a'])),
];

const ROUTING: readonly WireCase[] = [
  row('a rejected route', get('/gone'), { status: [404], upstream: [] }),
  row('a rejected route, in another spelling', get('/x/../%67one'), { on: 'open', status: [404], upstream: [] }),
  row('a target that could be a verified and a rejected route', forged('x', { target: '/gone/..;/notify' }), {
    status: [404],
    upstream: [],
  }),
  row('unmatched: reject', get('/nothing'), { on: 'closed', status: [404], upstream: [] }),
  row('unmatched: verify, unsigned', forged('x', { target: '/nothing' }), { status: [401], upstream: [] }),
  row('unmatched: verify, another method', get('/nothing'), { status: [405], upstream: [] }),
  row('out of a forward wildcard', forged('x', { target: '/open/../secret' }), { status: [401], upstream: [] }),
  row('out of a forward wildcard, encoded', forged('x', { target: '/open/%2e%2e%2fsecret' }), {
    status: [401],
    upstream: [],
  }),
  row('below a verified wildcard', forged('x', { target: '/admin/a/b' }), { on: 'open', status: [401], upstream: [] }),
  row('the stem of a verified wildcard', forged('x', { target: '/admin' }), {
    on: 'open',
    status: [401],
    upstream: [],
  }),
  row('an exact route does not match below its path', forged('x', { target: '/open/notify' }), {
    status: [200],
    upstream: ['POST /open/notify x'],
  }),
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
  row('no query', signed('abc'), { on: 'queryless', status: [200], upstream: ['POST /notify abc'] }),
  row('an encoded question mark in the path of another route', get('/gone%3Fa'), {
    on: 'queryless',
    status: [404],
    upstream: [],
  }),
  row('a query on an open route', get('/open?a'), { on: 'queryless', status: [200], upstream: ['GET /open?a'] }),
  row('a query where it is not refused', signed('abc', { target: '/notify?a=b' }), {
    status: [200],
    upstream: ['POST /notify?a=b abc'],
  }),
];

export const TARGETS: readonly WireCase[] = [
  ...IN_PATH.map(([name, target]) => gated(`target: ${name}`, get(target), 'open')),
  ...READ_AS_NOTIFY.map((target) =>
    row(`unsigned, read as /notify: ${target}`, forged('x', { target }), { on: 'open', status: [401], upstream: [] }),
  ),
  ...OPEN_TARGETS.map((target) =>
    row(`open: ${target}`, get(target), { on: 'open', status: [200], upstream: [`GET ${target}`] }),
  ),
  ...METHODS,
  ...ROUTING,
  ...QUERIES,
];
