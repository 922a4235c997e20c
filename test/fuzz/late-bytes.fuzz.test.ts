// An upstream that writes behind its answers: no request gets bytes that are not its own answer's, and no socket that
// has carried a request without a verdict carries a verified one.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openClient } from '../support/http/raw-client.ts';
import { type RawResponse, values } from '../support/http/response-parser.ts';
import { type RunningProxy, startProxy } from '../support/proxy/proxy.ts';
import { type LenientUpstream, type SeenRequest, startLenientUpstream } from '../support/upstream/lenient-upstream.ts';
import { type Asked, CONFIG, clients, type Request, SECRETS, written } from './late-answers.ts';
import { LateServer } from './late-server.ts';
import { fuzz, SEED, TEST_TIMEOUT } from './time-box.ts';

const CONNECTIONS = [1, 3] as const;

describe.each(CONNECTIONS)('with at most %i upstream sockets', (connections) => {
  let upstream: LenientUpstream;
  let server: LateServer;
  let proxy: RunningProxy;
  beforeAll(async () => {
    upstream = await startLenientUpstream();
    server = new LateServer(upstream);
    const config = { ...CONFIG, upstream: { url: upstream.url, connections, keepAlive: '60s' } };
    proxy = await startProxy({ config, secrets: SECRETS });
  });
  afterAll(async () => {
    await proxy?.stop();
    await upstream?.close();
  });

  /** One request after the other, on one connection: no answer here is one that ends it. */
  async function ask(requests: readonly Request[]): Promise<void> {
    const client = await openClient({ port: proxy.port });
    try {
      for (const request of requests) {
        await client.send(request.bytes);
        checkAnswer(request, await client.response({ head: request.method === 'HEAD' }));
        server.read(request.id);
      }
    } finally {
      client.destroy();
    }
  }

  function checkSockets(seen: readonly SeenRequest[]): void {
    const carried = new Map<number, Request[]>();
    for (const request of seen) {
      const next = server.requestOf(request);
      if (next === undefined) expect.fail(`nobody asked for ${request.requestLine}`);
      const before = carried.get(request.connection) ?? [];
      carried.set(request.connection, [...before, next]);
      const what = `${next.name}, on a socket that has carried ${before.map(({ name }) => name).join('; ')}`;
      expect(before.filter(({ socket }) => socket === 'not used again').length, what).toBe(0);
      if (next.verdict === 'verified')
        expect(
          before.every(({ verdict }) => verdict === 'verified'),
          what,
        ).toBe(true);
    }
  }

  async function check(asked: readonly (readonly Asked[])[]): Promise<void> {
    const requests = asked.map((one) => one.map(written));
    server.expect(requests.flat());
    const ended = await Promise.allSettled(requests.map(ask));
    try {
      for (const outcome of ended) if (outcome.status === 'rejected') throw outcome.reason;
      checkSockets(upstream.seen);
      expect(upstream.seen.length, 'requests upstream').toBe(requests.flat().length);
    } finally {
      await server.clear();
      upstream.seen.splice(0);
      // The proxy has answered, so it has seen the sockets' ends before.
      await proxy.metrics();
    }
  }

  test('whatever is written behind whatever answer', { timeout: TEST_TIMEOUT }, async () => {
    let tried = 0;
    await fuzz(
      clients,
      async (asked) => {
        tried += asked.flat().length;
        await check(asked).catch((error: Error) => {
          const lines = asked.map((one) => one.map((each) => written(each).name).join('; '));
          error.message += `\nasked, one client a line:\n${lines.join('\n')}`;
          throw error;
        });
      },
      CONNECTIONS.length,
    );
    console.log(`${tried} requests, seed ${SEED}`);
  });
});

function checkAnswer({ name, id, status, body }: Request, answer: RawResponse): void {
  const got = [answer.status, values(answer.lines, 'x-id'), answer.body.toString('latin1'), answer.informational];
  expect(got, `the answer to ${name}`).toEqual([status, [id], body, []]);
}
