// Hosts, networks and URLs: which forms are accepted, and which are not.
import { describe, expect, test } from 'vitest';
import { isCidr, isHost, readStore, readUpstreamUrl } from '../../../src/config/url-values.ts';

describe('upstream.url', () => {
  test.each([
    ['http://127.0.0.1:3000', 'http://127.0.0.1:3000'],
    ['http://app', 'http://app'],
    ['http://app/', 'http://app'],
    ['http://APP.internal:80', 'http://app.internal'],
    ['https://app:8443', 'https://app:8443'],
    ['http://[::1]:3000', 'http://[::1]:3000'],
    ['http://legacy_app:3000', 'http://legacy_app:3000'],
    ['unix:///run/app.sock', 'unix:///run/app.sock'],
  ])('%s', (text, value) => expect(readUpstreamUrl(text)).toEqual({ value }));

  test.each([
    'app:3000',
    '//app',
    'http:/app',
    'http://',
    'http:///x',
    'http://app:0',
    'http://app:65536',
    'http://app:',
    'http://a b',
    'http://app\\x',
    'http://app\n',
    'http://user@app',
    'http://app/x',
    'http://app?x',
    'http://app#x',
    'http://[::1',
    'http://::1',
    'http://-app',
    'http://999.1.1.1',
    'ws://app',
    'unix://run/app.sock',
    'unix:///run/',
    'unix:///run/a?b',
    `unix:///${'x'.repeat(107)}`,
    '',
  ])('not %j', (text) => expect(readUpstreamUrl(text)).toHaveProperty('problem'));
});

describe('once.store', () => {
  test.each([
    'memory',
    'redis://host',
    'redis://host:6379/0',
    'rediss://host/15',
    'redis://user@host/0',
    'redis://[::1]:6379',
  ])('%s', (text) => expect(readStore(text)).toEqual({ value: text }));
  test.each([
    'Memory',
    'redis:host',
    'redis://',
    'redis://:pw@host',
    'redis://user:pw@host',
    'redis://user:@host',
    'redis://host/zero',
    'redis://host/0/1',
    'redis://host?password=pw',
    'redis://host#x',
    'redis://ho st',
    'http://host',
  ])('not %j', (text) => {
    const reading = readStore(text);
    expect(reading).toHaveProperty('problem');
    expect(JSON.stringify(reading)).not.toContain('pw');
  });
});

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
