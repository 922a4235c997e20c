// Targets that the gate refuses, targets that a server could read as a verified route, and targets that must keep
// working. The long list of spellings is tried on real servers in test/e2e; these rows cover each rule once.
import { get, request } from '../../support/http/requests.ts';
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
  ...IN_PATH.map(([name, target]) => gated(`target: ${name}`, get(target), 'open')),
  ...READ_AS_NOTIFY.map((target) =>
    unauthorized(`unsigned, read as /notify: ${target}`, forged('x', { target }), 'open'),
  ),
  ...OPEN_TARGETS.map((target) => served(`open: ${target}`, get(target), `GET ${target}`, { on: 'open' })),
  ...METHODS,
  ...ROUTING,
  ...QUERIES,
];
