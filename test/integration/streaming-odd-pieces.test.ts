// A body that streams arrives whole or is seen to break.
// A client that sends a streamed body in odd pieces, slowly, or not to its end. A body that stops is refused or cut,
// and never looks complete to the upstream.
import { describe, expect } from 'vitest';
import { untilAtRest } from '../support/proxy/at-rest.ts';
import { head, nextRecord, STEADY, test } from '../support/proxy/streaming.ts';

describe('a client that stops sending', () => {
  test.for([
    ['with a length', `${head('/open/x', 'Content-Length: 100')}part`],
    ['in chunks', `${head('/open/x', 'Transfer-Encoding: chunked')}4\r\npart\r\n`],
    ['before the first byte', head('/open/x', 'Content-Length: 100')],
  ] as const)(
    '%s: 408, counted, and the upstream sees the request break',
    async ([, bytes], { upstream, proxy, begin }) => {
      const ends = upstream.ends.length;
      const record = await nextRecord(proxy, '/open/x', async () => {
        const client = await begin(bytes);
        const response = await client.response();
        expect([response.status, response.body.toString()]).toEqual([408, '{"error":"body_timeout"}']);
        await client.rest();
      });
      expect(record).toMatchObject({ decision: 'rejected', reason: 'body_timeout', status: 408 });
      await untilAtRest(proxy);
      expect(upstream.ends.slice(ends).includes('whole')).toBe(false);
    },
  );

  test('after the response has begun: the connection is cut', async ({ begin }) => {
    const client = await begin(`${head('/steady/early', 'Content-Length: 1000000')}part`);
    const response = await client.response();
    expect([response.status, response.body.toString()]).toEqual([413, 'early']);
    await client.rest();
  });

  test('a drip that never pauses for idleTimeout goes through', async ({ begin }) => {
    const client = await begin(head('/steady/x', 'Content-Length: 6'));
    for (const letter of 'abcdef') {
      await new Promise((resolve) => setTimeout(resolve, STEADY / 4));
      await client.send(letter);
    }
    expect((await client.response()).body.toString()).toBe('6');
    client.destroy();
  });
});

describe('bodies in odd pieces', () => {
  test('Expect: 100-continue is answered once the upstream is connected, and the body follows', async ({ begin }) => {
    const client = await begin(head('/patient/x', 'Content-Length: 3', 'Expect: 100-continue'));
    const interim = await client.bytes('HTTP/1.1 100 Continue\r\n\r\n'.length);
    expect(interim.toString()).toBe('HTTP/1.1 100 Continue\r\n\r\n');
    await client.send('abc');
    expect((await client.response()).body.toString()).toBe('3');
    client.destroy();
  });
});
