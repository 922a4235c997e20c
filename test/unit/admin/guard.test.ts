import { expect, test } from 'vitest';
import { isForeign, mayAct } from '../../../src/admin/server.ts';

const host = '127.0.0.1:9464';
const BROWSER = 'Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0';

test.each([
  ['curl, kubelet', { host, 'user-agent': 'kube-lifecycle/1.35' }, false],
  ['an image without a Referer, on an address that browsers do not trust', { host, 'user-agent': BROWSER }, true],
  ['an address typed into a browser', { host, 'sec-fetch-site': 'none', 'user-agent': BROWSER }, false],
  [
    'the status page itself',
    { host, origin: `http://${host}`, referer: `http://${host}/`, 'sec-fetch-site': 'same-origin' },
    false,
  ],
  ['the status page by localhost', { host: 'localhost:9464', origin: 'http://localhost:9464' }, false],
  ['the status page by IPv6', { host: '[::1]:9464', origin: 'http://[::1]:9464' }, false],
  ['a page on another site', { host, origin: 'https://evil.example' }, true],
  ['a page on another port', { host, origin: 'http://127.0.0.1:3000', 'sec-fetch-site': 'same-site' }, true],
  ['a sandboxed frame', { host, origin: 'null' }, true],
  ['an image on another site', { host, 'sec-fetch-site': 'cross-site' }, true],
  ['an image on another site, from a browser without Sec-Fetch', { host, referer: 'http://evil.example/' }, true],
  ['a rebound name that tells nothing', { host: 'evil.example:9464' }, true],
  ['a rebound name', { host: 'evil.example:9464', origin: 'http://evil.example:9464' }, true],
  [
    'a rebound name that looks like an address',
    { host: '127.0.0.1.evil.example', origin: 'http://127.0.0.1.evil.example' },
    true,
  ],
])('%s', (_, headers, foreign) => {
  expect(isForeign('GET', Object.entries(headers).flat())).toBe(foreign);
});

test('a POST that tells nothing is a tool’s, by any name: browsers send an Origin with each', () => {
  expect(isForeign('POST', ['Host', 'proxy:9464'])).toBe(false);
  expect(isForeign('POST', ['Host', 'proxy:9464', 'Origin', 'http://proxy:9464'])).toBe(true);
});

test.each([
  ['anybody if nothing is configured', '203.0.113.9', [], true],
  ['loopback, whatever is configured', '127.0.0.1', ['10.0.0.0/8'], true],
  ['loopback by IPv6', '::1', ['10.0.0.0/8'], true],
  ['a listed network', '10.1.2.3', ['192.168.0.0/16', '10.0.0.0/8'], true],
  ['another one', '11.0.0.1', ['10.0.0.0/8'], false],
  ['an IPv6 network', 'fd00::5', ['fd00::/8'], true],
  ['a link-local address that looks like loopback', 'fe80::1', ['fd00::/8'], false],
  ['a link-local address with its zone', 'fe80::1%eth0', ['fe80::/10'], true],
  ['no address', '', ['0.0.0.0/0'], false],
])('the actions: %s', (_, address, networks, may) => {
  expect(mayAct('/-/drain', address, networks)).toBe(may);
  expect(mayAct('/-/capture', address, networks)).toBe(may && (networks.length > 0 || address === '127.0.0.1'));
});
