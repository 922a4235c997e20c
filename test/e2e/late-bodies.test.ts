// Late bodies of strangers answer no delivery.
// Real servers that write a body to HEAD, 204 and 304, late. On a socket that is used again those bytes are the answer to
// the next request: an unsigned client so forges the answers to deliveries, and gets theirs.
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { FORGED_ECHO, LATE_KINDS, LATE_REQUESTS, type LateRequest, startSingleServer } from '../servers/late-kinds.ts';
import type { RealServer } from '../servers/real-server.ts';
import { sign } from '../support/deliveries/signer.ts';
import { openClient, type RawClient } from '../support/http/raw-client.ts';
import { values } from '../support/http/response-parser.ts';
import { type RunningProxy, startProxy } from '../support/proxy/proxy.ts';

const SECRET = 'late-body-secret-0123456789abcdef';
const DELIVERIES = Number(process.env.DELIVERIES ?? 900);
const SIGNERS = 4;
const STRANGERS = 3;

interface Asked {
  readonly id: string;
  readonly bytes: string;
  readonly head?: boolean;
  /** The body of its own answer; any unless given. */
  readonly text?: string;
}

function late(request: LateRequest, id: string): Asked {
  const { method, target } = LATE_REQUESTS[request];
  return { id, bytes: `${method} ${target} HTTP/1.1\r\nHost: a\r\nX-Case: ${id}\r\n\r\n`, head: method === 'HEAD' };
}

function delivery(id: string): Asked {
  const body = `{"id":"${id}"}`;
  const lines = [`X-Case: ${id}`, `Entrupy-Signature: ${sign(SECRET, body)}`, `Content-Length: ${body.length}`];
  const bytes = `POST /notify HTTP/1.1\r\nHost: a\r\n${lines.join('\r\n')}\r\n\r\n${body}`;
  return { id, bytes, text: createHash('sha256').update(body).digest('hex') };
}

/** A client that keeps its connection while it may. */
class Client {
  readonly #port: number;
  #raw: RawClient | null = null;

  constructor(port: number) {
    this.#port = port;
  }

  /** `own`, or what came instead: `forged`, `of <the id>`, a status, an error. */
  async ask({ id, bytes, head = false, text }: Asked): Promise<string> {
    try {
      this.#raw ??= await openClient({ port: this.#port });
      await this.#raw.send(bytes);
      const { status, lines, body } = await this.#raw.response({ head });
      const [echo = `nobody, ${status}`] = values(lines, 'x-echo');
      if (values(lines, 'connection').includes('close')) this.leave();
      if (echo !== id) return echo === FORGED_ECHO ? FORGED_ECHO : `of ${echo}`;
      return text === undefined || body.toString() === text ? 'own' : `another body: ${body.toString('latin1', 0, 80)}`;
    } catch (error) {
      this.leave();
      return String(error).slice(0, 200);
    }
  }

  leave(): void {
    this.#raw?.destroy();
    this.#raw = null;
  }
}

const tally = (outcomes: readonly string[]) => {
  // Each id is another one: what counts is whose answer it was.
  const kinds = outcomes.map((outcome) => outcome.replace(/^of (delivery|stranger)-.*/, 'of a $1'));
  return Object.fromEntries([...new Set(kinds)].map((kind) => [kind, kinds.filter((one) => one === kind).length]));
};

/** Deliveries beside three strangers at a time, until all are answered. */
async function besides(port: number, request: LateRequest): Promise<{ deliveries: string[]; strangers: string[] }> {
  const [deliveries, strangers]: [string[], string[]] = [[], []];
  let next = 0;
  let done = false;
  const signer = async () => {
    const client = new Client(port);
    for (let nth = next++; nth < DELIVERIES; nth = next++) {
      deliveries.push(await client.ask(delivery(`delivery-${nth}`)));
    }
    client.leave();
  };
  const stranger = async (who: number) => {
    const client = new Client(port);
    for (let nth = 0; !done; nth++) strangers.push(await client.ask(late(request, `stranger-${who}-${nth}`)));
    client.leave();
  };
  const crowd = Array.from({ length: STRANGERS }, (_, who) => stranger(who));
  await Promise.all(Array.from({ length: SIGNERS }, signer));
  done = true;
  await Promise.all(crowd);
  return { deliveries, strangers };
}

const startBefore = ({ port }: RealServer, upstream: object = {}): Promise<RunningProxy> =>
  startProxy({
    config: {
      upstream: { url: `http://127.0.0.1:${port}`, ...upstream },
      routes: [{ path: '/notify' }, { path: '/open/*', action: 'forward' }],
      log: { requests: 'none' },
    },
    secrets: { current: SECRET },
  });

describe('A socket that has carried a request without a verdict never carries a delivery', () => {
  describe.each(LATE_KINDS.map((kind) => ({ kind, name: kind.name })))('$name', ({ kind }) => {
    const missing = kind.missing();
    if (missing !== null) {
      test.skipIf(process.env.CI === undefined)(`can run here: ${missing}`, () => expect.fail(missing));
      return;
    }
    let server: RealServer;
    let proxy: RunningProxy;
    beforeAll(async () => {
      server = await kind.start();
      proxy = await startBefore(server);
    });
    afterAll(async () => {
      await proxy?.stop();
      await server?.stop();
    });
    beforeEach(() => server.hits());

    test.each(kind.writes)('it does write a body after %s when there is no proxy', async (request) => {
      const client = await openClient({ port: server.port });
      const { bytes, head } = late(request, 'alone');
      await client.send(bytes);
      await client.response({ ...(head === true && { head }) });
      const forged = await client.response();
      client.destroy();
      expect(values(forged.lines, 'x-echo')).toEqual([FORGED_ECHO]);
    });

    test.each(kind.writes)('deliveries beside unsigned requests with %s', async (request) => {
      const { deliveries, strangers } = await besides(proxy.port, request);
      const [got, leaked] = [tally(deliveries), tally(strangers)];
      console.log(
        `${kind.name}, ${request}: ${got.forged ?? 0} of ${deliveries.length} deliveries were forged, ${leaked['of a delivery'] ?? 0} of ${strangers.length} strangers got a delivery's answer`,
        { deliveries: got, strangers: leaked },
      );
      expect.soft(got).toEqual({ own: DELIVERIES });
      expect.soft(leaked['of a delivery'] ?? 0, 'deliveries whose answer a stranger got').toBe(0);
      const arrived = new Set((await server.hits()).map((hit) => hit.case));
      const missing = Array.from({ length: DELIVERIES }, (_, nth) => `delivery-${nth}`).filter(
        (id) => !arrived.has(id),
      );
      expect.soft(missing, 'deliveries that never arrived').toEqual([]);
      expect(strangers.length).toBeGreaterThan(DELIVERIES / 20);
    });
  });

  // An idle socket of the other kind would keep such a server to itself for as long as the proxy keeps it.
  test.skipIf(!existsSync('/usr/bin/python3'))(
    'a server that takes one connection at a time serves deliveries beside open requests',
    async () => {
      const server = await startSingleServer();
      onTestFinished(() => server.stop());
      const proxy = await startBefore(server, { connections: 1, keepAlive: '60s' });
      onTestFinished(async () => void (await proxy.stop()));
      const [signer, stranger] = [new Client(proxy.port), new Client(proxy.port)];
      const outcomes: string[] = [];
      for (let nth = 0; nth < 20; nth++) {
        const id = `stranger-${nth}`;
        const bytes = `GET /open/plain HTTP/1.1\r\nHost: a\r\nX-Case: ${id}\r\n\r\n`;
        outcomes.push(await stranger.ask({ id, bytes }), await signer.ask(delivery(`delivery-${nth}`)));
      }
      signer.leave();
      stranger.leave();
      expect(tally(outcomes)).toEqual({ own: 40 });
    },
  );
});
