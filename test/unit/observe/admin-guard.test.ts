import { expect, test } from 'vitest';
import { isForeign } from '../../../src/observe/admin-guard.ts';

const host = '127.0.0.1:9464';

test.each([
  ['curl, kubelet', { host }, false],
  ['an address typed into a browser', { host, 'sec-fetch-site': 'none' }, false],
  [
    'the own page',
    { host, origin: `http://${host}`, referer: `http://${host}/`, 'sec-fetch-site': 'same-origin' },
    false,
  ],
  ['the own page by localhost', { host: 'localhost:9464', origin: 'http://localhost:9464' }, false],
  ['the own page by IPv6', { host: '[::1]:9464', origin: 'http://[::1]:9464' }, false],
  ['a page elsewhere', { host, origin: 'https://evil.example' }, true],
  ['a page on another port', { host, origin: 'http://127.0.0.1:3000', 'sec-fetch-site': 'same-site' }, true],
  ['a sandboxed frame', { host, origin: 'null' }, true],
  ['an image elsewhere', { host, 'sec-fetch-site': 'cross-site' }, true],
  ['an image elsewhere, by a browser without Sec-Fetch', { host, referer: 'http://evil.example/' }, true],
  ['a rebound name', { host: 'evil.example:9464', origin: 'http://evil.example:9464' }, true],
  [
    'a rebound name that looks like an address',
    { host: '127.0.0.1.evil.example', origin: 'http://127.0.0.1.evil.example' },
    true,
  ],
])('%s', (_, headers, foreign) => {
  expect(isForeign(new Map(Object.entries(headers)))).toBe(foreign);
});
