// Lines of heads and trailers arrive, both ways, as the bytes that docs/security.md says: name and value byte for byte, in
// their order, with one colon and one space between them, and no whitespace around them.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { SECRET } from '../support/deliveries/signer.ts';
import { exchange } from '../support/http/raw-client.ts';
import { signatureLine } from '../support/http/requests.ts';
import { shared } from '../support/proxy/shared.ts';
import { startLenientUpstream } from '../support/upstream/lenient-upstream.ts';
import { fuzz } from './time-box.ts';

const on = shared(startLenientUpstream, {
  routes: [{ path: '/notify' }, { path: '/open', action: 'forward' }],
  log: { requests: 'none' },
});

/** Digits and `Object`'s own names are traps for code that keeps headers in an object. */
const name = fc.oneof(
  fc.constantFrom('X-Dup', 'x-dup', 'X-DUP', 'aCCept', 'Cookie', 'cookie', 'Set-Cookie', 'Date', 'Via', 'Vary', 'ETag'),
  fc.constantFrom('0', '7', 'a', 'constructor', 'toString', 'hasOwnProperty', 'Content-Encoding', 'Authorization'),
  fc.stringMatching(/^X-[!#$%&'*+.^`|~0-9A-Za-z-]{0,12}$/),
);
const byte = (least: number, most: number) => fc.integer({ min: least, max: most }).map((c) => String.fromCharCode(c));
const visible = fc.oneof(byte(0x21, 0x7e), byte(0x80, 0xff));
const inner = fc.string({
  unit: fc.oneof({ weight: 9, arbitrary: visible }, fc.constantFrom(' ', '\t')),
  maxLength: 40,
});
/** Non-breaking spaces and the like are bytes of a value, although `trim` removes them. */
const value = fc.oneof(
  fc.constantFrom('', 'close', 'chunked', ': b', '\xa0nbsp\xa0', '\x85', '\xef\xbb\xbfbom', '\xf0\x9f\x91\x9c', 'a,,b'),
  fc.tuple(visible, inner, visible).map((parts) => parts.join('')),
);
const space = fc.constantFrom('', ' ', '  ', '\t', ' \t ');
const lineOf = (named: fc.Arbitrary<string>) =>
  fc.record({ name: named, value, before: space, after: space }).map(({ name, value, before, after }) => ({
    sent: `${name}:${before}${value}${after}`,
    arrives: `${name}: ${value}`,
  }));
type Line = ReturnType<typeof lineOf> extends fc.Arbitrary<infer One> ? One : never;

const message = fc.record({
  target: fc.constantFrom('/notify', '/open'),
  lines: fc.array(lineOf(name), { maxLength: 12 }),
  trailers: fc.array(lineOf(fc.constantFrom('X-Checksum', 'x-checksum', 'X-Row-Count')), { maxLength: 3 }),
});

const BODY = 'a\0b\xff\r\n\r\nPOST / HTTP/1.1\r\n';
const CHUNKED = 'Transfer-Encoding: chunked';

const sent = (first: string, lines: readonly Line[], trailers: readonly Line[]) =>
  [
    ...[first, ...lines.map((line) => line.sent), CHUNKED, '', `${BODY.length.toString(16)};x`, BODY, '0'],
    ...[...trailers.map((line) => line.sent), '', ''],
  ].join('\r\n');

test('whatever its lines, a message arrives as it was sent', async () => {
  await fuzz(
    message,
    async ({ target, lines, trailers }) => {
      on.upstream.seen.length = 0;
      on.upstream.answer(() => sent('HTTP/1.1 200 OK', lines, trailers));
      const signature = signatureLine(BODY, SECRET);
      const first = `POST ${target} HTTP/1.1\r\nHost: h\r\n${signature}`;
      const response = await exchange(on.proxy.port, Buffer.from(sent(first, lines, trailers), 'latin1'));
      const [wanted, wantedTrailers] = [lines, trailers].map((all) => all.map(({ arrives }) => arrives));
      const [seen] = on.upstream.seen;
      // A verified body has a length, so its trailers are dropped.
      const isOpen = target === '/open';
      const framing = isOpen ? [CHUNKED, 'Connection: close'] : [`Content-Length: ${BODY.length}`];
      expect(seen?.lines).toEqual(['Host: h', signature, ...(wanted ?? []), ...framing]);
      expect([seen?.body.toString('latin1'), seen?.trailers]).toEqual([BODY, isOpen ? wantedTrailers : []]);
      expect(response.lines).toEqual([...(wanted ?? []), CHUNKED]);
      expect([response.body.toString('latin1'), response.trailers]).toEqual([BODY, wantedTrailers]);
    },
    { properties: 2 },
  );
});
