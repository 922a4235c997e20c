// No body becomes a request at an upstream that leaves it unread.
// A real server that leaves bodies unread, behind the proxy: of seven that were tried (Flask, gunicorn, node:http, Express,
// nginx) the one that parses an unread body as the next request, past every check. Each later client would get the
// response to the request before its own.
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { forms, framed, ROUTES, SLOW_REQUEST } from '../servers/forged.ts';
import { PYTHON } from '../servers/kinds.ts';
import { type Hit, type RealServer, startServer } from '../servers/real-server.ts';
import { startBefore } from '../servers/start-before.ts';
import { SECRET, sign } from '../support/deliveries/signer.ts';
import { openClient, type RawClient } from '../support/http/raw-client.ts';
import { delivery as signedDelivery } from '../support/http/requests.ts';
import { values } from '../support/http/response-parser.ts';
import { haveTools } from '../support/machine/tools.ts';
import type { RunningProxy } from '../support/proxy/proxy.ts';

const DELIVERIES = 200;
const SENDERS = 4;
const ATTACKERS = 4;

const isUnsigned = (hit: Hit) => hit.signature !== sign(SECRET, Buffer.from(hit.body, 'latin1'));

/** A signed delivery whose body is its id. */
const delivery = (id: string) => signedDelivery(`{"id":"${id}"}`, SECRET, { lines: [`X-Case: ${id}`] });

/** The result of a request, in one line: `own` if the response belongs to the request. Never throws. */
async function ask(client: RawClient, request: { bytes: string; id: string; method?: string }): Promise<string> {
  try {
    await client.send(request.bytes);
    const { status, lines, body } = await client.response({ head: request.method === 'HEAD' });
    const [echo = 'none'] = values(lines, 'x-echo');
    if (status !== 200 || echo !== request.id) return `${status}, of ${echo}: ${body.toString('latin1', 0, 80)}`;
    const takesBody = request.bytes.startsWith('POST /notify');
    return takesBody && body.toString() !== `protected {"id":"${request.id}"}` ? `the body ${body}` : 'own';
  } catch (error) {
    return String(error);
  }
}

/** The same on a new connection. */
async function askOnce(port: number, request: { bytes: string; id: string; method?: string }): Promise<string> {
  const client = await openClient({ port });
  const became = await ask(client, request);
  client.destroy();
  return became;
}

/** Sends numbered deliveries, a few at a time; returns the results of those that did not get their own response. */
async function deliverAll(port: number): Promise<string[]> {
  const strays: string[] = [];
  let next = 0;
  const sender = async () => {
    let client = await openClient({ port });
    for (let index = next++; index < DELIVERIES; index = next++) {
      const id = `delivery-${index}`;
      const became = await ask(client, { bytes: delivery(id), id });
      if (became === 'own') continue;
      strays.push(`${id}: ${became}`);
      client.destroy();
      client = await openClient({ port });
    }
    client.destroy();
  };
  await Promise.all(Array.from({ length: SENDERS }, sender));
  return strays;
}

describe.skipIf(!haveTools(PYTHON))("Python's http.server", () => {
  let server: RealServer;
  let proxy: RunningProxy;
  beforeAll(async () => {
    server = await startServer([PYTHON, 'unread_http_server.py']);
    proxy = await startBefore(server.port, { routes: ROUTES, unmatched: 'forward' });
  });
  afterAll(async () => {
    await proxy?.stop();
    await server?.stop();
  });
  beforeEach(() => server.hits());

  // Otherwise the tests below could pass by accident.
  test('parses an unread body as a request when there is no proxy', async () => {
    expect(await forgedDirectly(server)).toBe(true);
  });

  test('nothing forged arrives, and every client gets its own response', async () => {
    const strays: string[] = [];
    for (const form of forms()) {
      const became = await askOnce(proxy.port, form);
      if (became !== 'own') strays.push(`${form.name}: ${became}`);
      const id = `after.${form.id}`;
      const next = await askOnce(proxy.port, { bytes: delivery(id), id });
      if (next !== 'own') strays.push(`the delivery after ${form.name}: ${next}`);
    }
    const hits = await server.hits();
    expect.soft(hits.filter(isUnsigned).map((hit) => hit.case)).toEqual([]);
    expect.soft(strays).toEqual([]);
    expect(hits.filter((hit) => !isUnsigned(hit))).toHaveLength(forms().length);
  });

  test('a slow request as the body takes no other delivery’s response', async () => {
    let done = false;
    const attack = async (attacker: number) => {
      const id = `attacker-${attacker}`;
      const target = attacker % 2 === 0 ? '/open' : '/reported';
      const bytes = framed({ method: 'POST', target, id, body: SLOW_REQUEST });
      const became = new Set<string>();
      while (!done) became.add(await askOnce(proxy.port, { bytes, id }));
      return [...became];
    };
    const attacks = Array.from({ length: ATTACKERS }, (_, attacker) => attack(attacker));
    const strays = await deliverAll(proxy.port);
    done = true;
    expect(strays).toEqual([]);
    expect(await Promise.all(attacks)).toEqual(Array(ATTACKERS).fill(['own']));
    expect((await server.hits()).map((hit) => hit.case).sort()).toEqual(
      Array.from({ length: DELIVERIES }, (_, index) => `delivery-${index}`).sort(),
    );
  });
});

/** True if a request forged in a body, sent directly to the server, reached the handler. */
async function forgedDirectly(server: RealServer): Promise<boolean> {
  for (const form of forms()) {
    const client = await openClient(server);
    await ask(client, form);
    // The server is done: it has responded to the forged request, or closed the connection.
    client.end();
    await client.rest().catch(() => {});
    client.destroy();
  }
  return (await server.hits()).some(isUnsigned);
}
