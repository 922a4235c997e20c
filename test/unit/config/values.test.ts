// Values, each in exactly the documented forms: durations, sizes, methods, hosts, networks and URLs.
import { METHODS as KNOWN } from 'node:http';
import { expect, test } from 'vitest';
import { METHODS } from '../../../src/config/schema.ts';
import { DURATION, SIZE } from '../../../src/config/units.ts';
import { isCidr, isHost, isRedisUrl, readUpstreamUrl } from '../../../src/config/value-kinds.ts';
import { parse } from '../../support/http/parsed.ts';

test.each([
  ...['http://127.0.0.1:3000', 'http://app', 'https://app:8443', 'http://[::1]:3000', 'http://legacy_app:3000'],
  ...['unix:///run/app.sock', 'http://app/=http://app', 'http://APP.internal:80=http://app.internal'],
])('upstream.url takes %s', (text) => {
  const [given = '', normal = given] = text.split('=');
  expect(readUpstreamUrl(given)).toBe(normal);
});

test.each([
  ['another scheme, or none', ['app:3000', '//app', 'http:/app', '', 'ws://app', 'HTTP://app']],
  ['a user', ['http://user@app', 'http://user:pw@app']],
  ['a query or a fragment', ['http://app?x', 'http://app#x', 'unix:///run/a?b']],
  ['a path', ['http:///x', 'http://app/x']],
  ['no host', ['http://', 'http://[::1', 'http://::1', 'http://[127.0.0.1]', 'http://-app', 'http://999.1.1.1']],
  ['no port, or one that does not exist', ['http://app:', 'http://app:0', 'http://app:00', 'http://app:65536']],
  ['white space, a backslash or a line break', ['http://a b', 'http://app\\x', 'http://app\n', 'unix:///a\n']],
  ['no path to a socket, or too long a one', ['unix://run/app.sock', 'unix:///run/', `unix:///${'x'.repeat(107)}`]],
])('upstream.url with %s is refused: %j', (_, texts) => {
  expect(texts.filter((text) => readUpstreamUrl(text) !== null)).toEqual([]);
});

const REDIS = ['redis://host', 'redis://host:6379/0', 'rediss://host/15', 'redis://user@host/0', 'redis://[::1]:6379'];
const NO_REDIS = [
  ...['Memory', 'redis:host', 'http://host', 'redis://', 'redis://ho st', 'redis://user@', 'redis://:6379'],
  ...['redis://:pw@host', 'redis://user:pw@host', 'redis://user:@host', 'redis://host:99999', 'redis://host/zero'],
  ...['redis://host/0/1', 'redis://host?password=pw', 'redis://host#x'],
];
const NO_NETWORKS = ['10.0.0.0', '10.0.0.0/33', '::/129', '10.0.0/8', 'x/8', '10.0.0.0/8/8', '10.0.0.0/-1', ''];

test.each([
  ['a host', isHost, ['::', '0.0.0.0', '127.0.0.1', 'localhost', '::1'], ['a.example.']],
  ['a network', isCidr, ['10.0.0.0/8', '::/0', 'fd00::/128', '1.2.3.4/32'], NO_NETWORKS],
  ['a store', isRedisUrl, REDIS, NO_REDIS],
] as const)('%s is what is documented, and nothing else', (_, isOne, good, bad) => {
  expect([...good, ...bad].filter(isOne)).toEqual(good);
});

const NO_DURATIONS = [
  ...['', '5', '05s', '-5s', '1.5s', '5S', '5 s', '5sec', '1m30s', '1d', 's', ' 5s', '5s\n', '9999999999s'],
  5,
];
const NO_SIZES = ['', '64', '64k', '64KB', '1.5MiB', '064KiB', '64 KiB', '64kib', '-1KiB', -1, 1.5, 2 ** 60];

test.each([
  [
    'durations',
    DURATION,
    { '250ms': 250, '5s': 5000, '2m': 120_000, '24h': 86_400_000, '0': 0, '0s': 0 },
    NO_DURATIONS,
  ],
  ['sizes', SIZE, { '64KiB': 65_536, '1MiB': 1024 ** 2, '2GiB': 2 * 1024 ** 3 }, NO_SIZES],
] as const)('%s are read as documented, and written in the shortest way', (_, kind, good, bad) => {
  for (const [text, value] of Object.entries(good)) expect([text, kind.parse(text)]).toEqual([text, value]);
  expect(bad.filter((text) => kind.parse(text) !== null)).toEqual([]);
  for (const value of [0, 1, 250, 1000, 1024, 90_000, 7_200_000, ...Object.values(good)]) {
    const text = kind.format(value);
    expect([text, kind.parse(kind === SIZE && /^[0-9]+$/.test(text) ? Number(text) : text)]).toEqual([text, value]);
  }
});

// The list of methods is the parser's. If an update of Node or undici changes theirs, this one follows.
test("the methods are node:http's, in the same order, but CONNECT", () => {
  expect(METHODS).toEqual(KNOWN.filter((method) => method !== 'CONNECT'));
});

test('the parser reads each of them', () => {
  const read = METHODS.map((method) => {
    const { messages, partial } = parse('request', [Buffer.from(`${method} /a HTTP/1.1\r\nHost: h\r\n\r\n`)]);
    return (messages[0] ?? partial)?.method;
  });
  expect(read).toEqual(METHODS);
});
