// Generated heads arrive as the bytes that the rule says.
// Two hundred seeded requests and responses, in every order and spelling that the parser accepts. The bytes that arrive
// are compared with the bytes that the rule gives (docs/security.md). `SEED` selects another run.
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { generateRequest } from '../support/http/generated-requests.ts';
import { generateResponse } from '../support/http/generated-responses.ts';
import { exchange } from '../support/http/raw-client.ts';
import { type RunningProxy, startProxy } from '../support/proxy/proxy.ts';
import { type LenientUpstream, startLenientUpstream } from '../support/upstream/lenient-upstream.ts';

const SECRET = 'generated-heads-secret-0123456789abc';
const SEED = Number(process.env.SEED ?? 15_000);
const HEADS = 200;
const AT_ONCE = 20;

let upstream: LenientUpstream;
let proxy: RunningProxy;
/** The same with `keepAlive: 0`. */
let closing: RunningProxy;
beforeAll(async () => {
  upstream = await startLenientUpstream();
  const start = (keepAlive: string) =>
    startProxy({
      config: {
        upstream: { url: upstream.url, keepAlive },
        routes: [{ path: '/notify' }, { path: '/report', mode: 'report' }, { path: '/open/*', action: 'forward' }],
        unmatched: 'reject',
        log: { requests: 'none' },
      },
      secrets: { current: SECRET },
    });
  proxy = await start('5s');
  closing = await start('0s');
});
afterAll(async () => {
  await proxy?.stop();
  await closing?.stop();
  await upstream?.close();
});
beforeEach(() => {
  upstream.seen.length = 0;
  upstream.answer(() => 'HTTP/1.1 204 No Content\r\n\r\n');
});

const seeds = Array.from({ length: HEADS / AT_ONCE }, (_, row) => SEED + row * AT_ONCE);

describe.each([
  { name: 'the request', keepsSockets: true },
  { name: 'the request with keepAlive: 0', keepsSockets: false },
])('$name', ({ keepsSockets }) => {
  test.each(seeds)('seeds from %i on', async (first) => {
    for (let seed = first; seed < first + AT_ONCE; seed++) {
      const request = generateRequest(seed, { secret: SECRET, keepsSockets });
      upstream.seen.length = 0;
      const { port } = keepsSockets ? proxy : closing;
      const { status } = await exchange(port, request.sent, { head: request.method === 'HEAD' });
      const [seen] = upstream.seen;
      const raw = seen?.raw.toString('latin1') ?? '';
      const head = raw.slice(0, raw.indexOf('\r\n\r\n') + 4);
      expect.soft([status, ...head.split('\r\n')], `seed ${seed}`).toEqual([204, ...request.head.split('\r\n')]);
      expect.soft(seen?.body.toString('latin1'), `the body of seed ${seed}`).toBe(request.body);
      expect.soft(seen?.trailers, `the trailers of seed ${seed}`).toEqual(request.trailers);
    }
  });
});

describe('the response', () => {
  test.each(seeds)('seeds from %i on', async (first) => {
    for (let seed = first; seed < first + AT_ONCE; seed++) {
      const response = generateResponse(seed);
      upstream.answer(() => (socket) => {
        const bytes = Buffer.from(response.sent, 'latin1');
        if (response.closes) socket.end(bytes);
        else socket.write(bytes);
      });
      const { method } = response;
      const got = await exchange(proxy.port, `${method} /open/x HTTP/1.1\r\nHost: h\r\n\r\n`, {
        head: method === 'HEAD',
      });
      const headOf = ({ version, status, reason, lines }: typeof got) => [
        `HTTP/${version} ${status} ${reason}`,
        ...lines,
      ];
      expect.soft(headOf(got), `seed ${seed}`).toEqual(response.head);
      expect.soft(got.informational.map(headOf), `what came before seed ${seed}`).toEqual(response.interim);
      expect.soft(got.body.toString('latin1'), `the body of seed ${seed}`).toBe(response.body);
      expect.soft(got.trailers, `the trailers of seed ${seed}`).toEqual(response.trailers);
    }
  });
});
