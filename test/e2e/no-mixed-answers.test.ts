// Fifty clients in front of an upstream that misbehaves in a hundred seeded ways. Each request gets its own response, a
// refusal, or a cut. `SEED` selects another run, `REQUESTS` a longer one.
import { expect, test } from 'vitest';
import { SECRET } from '../support/deliveries/signer.ts';
import { openClient, type RawClient } from '../support/http/raw-client.ts';
import { inChunks, request, signatureLine } from '../support/http/requests.ts';
import { type RawResponse, values } from '../support/http/response-parser.ts';
import { untilAtRest } from '../support/proxy/at-rest.ts';
import { shared } from '../support/proxy/shared.ts';
import { dealt, startMisbehavingUpstream } from '../support/upstream/misbehaving-upstream.ts';
import { type Misbehaviour, type Outcome, textOf } from '../support/upstream/misbehaviours.ts';

const SEED = Number(process.env.SEED ?? 15);
const REQUESTS = Number(process.env.REQUESTS ?? 20_000);
const CLIENTS = 50;
/** The body of a request that is answered before it arrives: larger than the socket buffers. */
const LARGE = 'y'.repeat(300_000);

const on = shared(() => startMisbehavingUpstream(SEED), {
  upstream: { connections: 96, responseTimeout: '2s', idleTimeout: '2s' },
  routes: [{ path: '/notify' }, { path: '/open', action: 'forward' }],
  log: { requests: 'none' },
});

/** In turn: verified, forwarded with a length, forwarded in chunks, without a body. */
function requestOf(id: number, { method, early }: Misbehaviour): string {
  const body = `{"id":${id},"text":"${early ? LARGE : 'y'.repeat(id % 100)}"}`;
  const kind = method === undefined ? id % (early ? 3 : 4) : 3;
  const target = kind === 0 ? '/notify' : '/open';
  const head = (verb: string) => [`${verb} ${target}?id=${id} HTTP/1.1`, 'Host: h'];
  if (kind === 3) return request(head(method ?? 'GET'));
  if (kind === 2) return request([...head('PUT'), 'Transfer-Encoding: chunked'], inChunks(body));
  const signature = target === '/notify' ? [signatureLine(body, SECRET)] : [];
  return request([...head('POST'), ...signature, `Content-Length: ${body.length}`], body);
}

/** The outcome that a response is; a sentence if it is none of them. */
function judge(id: number, response: RawResponse, { reason = 'OK', bodiless, method }: Misbehaviour): Outcome | string {
  const { status, body } = response;
  const text = body.toString('latin1');
  if (status === 502 || status === 504) {
    const isOurs = method === 'HEAD' || /^\{"error":"(?:bad_gateway|gateway_timeout)"\}$/.test(text);
    return isOurs && values(response.lines, 'x-id').length === 0 ? 'refused' : `a ${status} that is not ours`;
  }
  const [of = 'none'] = values(response.lines, 'x-id');
  if (of !== String(id)) return of === 'none' ? `a ${status}` : `the answer of another, with ${status}`;
  if (response.reason !== reason) return `the reason ${JSON.stringify(response.reason)}`;
  if (text !== (bodiless ? '' : textOf(id)) && !text.startsWith('ok')) return 'another body';
  return 'answer';
}

function judgeError(id: number, { message }: Error): Outcome | string {
  const isOwn = message.includes(`X-Id: ${id}\\r\\n`) || message.includes('HTTP/1.1 103');
  return message.includes('within a response') && isOwn ? 'cut' : message.slice(0, 200);
}

/** Sends one id after another until none is left; counts forbidden outcomes. */
async function runClient(ids: Iterator<number>, count: (what: string) => void): Promise<void> {
  let client: RawClient | null = null;
  for (let next = ids.next(); next.done !== true; next = ids.next()) {
    const id = next.value;
    const misbehaviour = dealt(SEED, id);
    client ??= await openClient(on.proxy);
    // Not awaited: the response may arrive before everything is sent.
    client.send(requestOf(id, misbehaviour)).catch(() => {});
    let became: string;
    let closes = true;
    try {
      const response = await client.response({ head: misbehaviour.method === 'HEAD' });
      became = judge(id, response, misbehaviour);
      closes = values(response.lines, 'connection').includes('close') || response.framing === 'close';
    } catch (error) {
      became = judgeError(id, error as Error);
    }
    count((misbehaviour.allowed as readonly string[]).includes(became) ? became : `${misbehaviour.name}: ${became}`);
    if (closes) {
      client.destroy();
      client = null;
    }
  }
  client?.destroy();
}

function* upTo(count: number): Generator<number, undefined> {
  for (let id = 1; id <= count; id++) yield id;
}

test(`${REQUESTS} requests from ${CLIENTS} clients`, async () => {
  const counts = new Map<string, number>();
  const count = (what: string) => counts.set(what, (counts.get(what) ?? 0) + 1);
  const ids = upTo(REQUESTS);
  await Promise.all(Array.from({ length: CLIENTS }, () => runClient(ids, count)));
  const { answer = 0, refused = 0, cut = 0, ...wrong } = Object.fromEntries(counts);
  expect(wrong).toEqual({});
  expect(on.upstream.mixedUp).toEqual([]);
  expect(answer + refused + cut).toBe(REQUESTS);
  // Each kind has to occur, or the upstream did not misbehave.
  expect(Math.min(answer / 10, refused, cut)).toBeGreaterThan(REQUESTS / 100);
  await untilAtRest(on.proxy);
});
