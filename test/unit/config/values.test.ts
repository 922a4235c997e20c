// Values, each in exactly the documented forms: durations, sizes, methods, hosts, networks and URLs.
import { METHODS as KNOWN } from 'node:http';
import { describe, expect, test } from 'vitest';
import { METHODS } from '../../../src/config/schema.ts';
import { labelled, OF_ROUTE } from '../../../src/config/settings-text.ts';
import { DURATION, SIZE } from '../../../src/config/units.ts';
import { isCidr, isHost, isRedisUrl, readUpstreamUrl } from '../../../src/config/value-kinds.ts';
import { parse } from '../../support/http/parsed.ts';

test.each([
  ['http://127.0.0.1:3000', 'http://127.0.0.1:3000'],
  ['http://app', 'http://app'],
  ['http://app/', 'http://app'],
  ['http://APP.internal:80', 'http://app.internal'],
  ['https://app:8443', 'https://app:8443'],
  ['http://[::1]:3000', 'http://[::1]:3000'],
  ['http://legacy_app:3000', 'http://legacy_app:3000'],
  ['unix:///run/app.sock', 'unix:///run/app.sock'],
])('upstream.url takes %s', (text, value) => expect(readUpstreamUrl(text)).toBe(value));

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
  expect(texts.map(readUpstreamUrl)).toEqual(texts.map(() => null));
});

test.each([
  ...['redis://host', 'redis://host:6379/0', 'rediss://host/15', 'redis://user@host/0', 'redis://[::1]:6379'],
])('a store may be %s', (text) => expect(isRedisUrl(text)).toBe(true));

test.each([
  ['another scheme', ['Memory', 'redis:host', 'http://host']],
  ['no host', ['redis://', 'redis://ho st', 'redis://user@', 'redis://:6379', 'redis://host:99999']],
  ['a password', ['redis://:pw@host', 'redis://user:pw@host', 'redis://user:@host']],
  ['no database number', ['redis://host/zero', 'redis://host/0/1']],
  ['a query or a fragment', ['redis://host?password=pw', 'redis://host#x']],
])('a store with %s is refused: %j', (_, texts) => expect(texts.filter(isRedisUrl)).toEqual([]));

describe('hosts and networks', () => {
  test.each(['::', '0.0.0.0', '127.0.0.1', 'localhost', 'a.example.', '::1'])('%s', (text) =>
    expect(isHost(text)).toBe(text !== 'a.example.'),
  );
  test.each(['10.0.0.0/8', '::/0', 'fd00::/128', '1.2.3.4/32'])('%s', (text) => expect(isCidr(text)).toBe(true));
  test.each(['10.0.0.0', '10.0.0.0/33', '::/129', '10.0.0/8', 'x/8', '10.0.0.0/8/8', '10.0.0.0/-1', ''])(
    'not %j',
    (text) => expect(isCidr(text)).toBe(false),
  );
});

describe('durations', () => {
  test.each([
    ['250ms', 250],
    ['5s', 5000],
    ['2m', 120_000],
    ['24h', 86_400_000],
    ['0', 0],
    [0, 0],
    ['0s', 0],
  ])('%s', (text, ms) => expect(DURATION.parse(text)).toBe(ms));

  test.each(['', '5', '05s', '-5s', '1.5s', '5S', '5 s', '5sec', '1m30s', '1d', 's', ' 5s', '5s\n', '9999999999s', 5])(
    'not %j',
    (text) => expect(DURATION.parse(text)).toBeNull(),
  );

  test.each([0, 1, 250, 1000, 90_000, 7_200_000, 86_400_000])('%i round-trips', (ms) =>
    expect(DURATION.parse(DURATION.format(ms))).toBe(ms),
  );
});

describe('sizes', () => {
  test.each([
    [512, 512],
    [0, 0],
    ['64KiB', 65_536],
    ['1MiB', 1_048_576],
    ['2GiB', 2_147_483_648],
  ])('%s', (text, bytes) => expect(SIZE.parse(text)).toBe(bytes));

  test.each(['', '64', '64k', '64KB', '1.5MiB', '064KiB', '64 KiB', '64kib', '-1KiB', -1, 1.5, 2 ** 60])(
    'not %j',
    (text) => expect(SIZE.parse(text)).toBeNull(),
  );

  test.each([0, 1, 1000, 1024, 65_536, 1_048_576, 3 * 1024 ** 3])('%i round-trips', (bytes) => {
    const text = SIZE.format(bytes);
    expect(SIZE.parse(/^[0-9]+$/.test(text) ? Number(text) : text)).toBe(bytes);
  });
});

// The list of methods is the parser's. If an update of Node or undici changes theirs, this one follows.
test("the methods are node:http's, in the same order, but CONNECT", () => {
  expect(METHODS).toEqual(KNOWN.filter((method) => method !== 'CONNECT'));
});

test.each(METHODS)('the parser reads %s', (method) => {
  const { messages, partial } = parse('request', [Buffer.from(`${method} /a HTTP/1.1\r\nHost: h\r\n\r\n`)]);
  expect((messages[0] ?? partial)?.method).toBe(method);
});

test('a setting is written as its key in the schema is: a time, a size, a date or a count', () => {
  const route = { maxBody: 65_536, once: 90_000, reportUntil: 0, redeliver: null, methods: ['GET', 'HEAD'] };
  const settings = { upstream: { connections: 128, idleTimeout: 0, retryConnectFor: 5000 }, routes: [], attempts: 3 };
  expect(labelled(route, OF_ROUTE).map((setting) => setting.join(' '))).toEqual([
    'maxBody 64KiB',
    'once 90s',
    'reportUntil 1970-01-01T00:00:00Z',
    'methods GET, HEAD',
  ]);
  expect(Object.fromEntries(labelled(settings))).toEqual({
    'upstream.connections': '128',
    'upstream.idleTimeout': '0',
    'upstream.retryConnectFor': '5s',
    attempts: '3',
  });
});
