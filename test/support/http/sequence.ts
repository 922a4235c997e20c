// A sequence of requests on one raw connection, cut into writes as a test says, and its strict reading: the answers are
// a prefix of those that the requests call for, in order; what was not answered never reached the upstream, and the
// connection then ended in order. So each byte belongs to exactly one message.

import { sign } from '../deliveries/signer.ts';
import type { RunningProxy } from '../proxy/proxy.ts';
import { startUpstream, type Upstream } from '../upstream/upstream.ts';
import { openClient, type RawClient } from './raw-client.ts';
import { type RawResponse, values } from './response-parser.ts';

export const SECRET = 'sequence-secret-0123456789abcdef';
export const ROUTES = [{ path: '/notify' }, { path: '/open/*', action: 'forward' }] as const;

export interface Message {
  readonly id: string;
  readonly bytes: Buffer;
  /** Refused with 401, or served by the upstream, which echoes the id. */
  readonly expect: 'refused' | 'served';
}

/** Bytes that are written at once. `after`: how many answers the client has before that; none unless given. */
export interface Piece {
  readonly bytes: Buffer;
  readonly after?: number;
  /** Waits until the proxy has taken a turn on another socket, so that it has read what came before. */
  readonly apart?: true;
  /** Waits until the upstream has the next request, and then so many turns of the event loop: about when it answers. */
  readonly beside?: number;
}

/** The request line of what a body hides. */
export const HIDDEN = 'GET /open/hidden';

const FINAL = 'the-last-one';
const FINALS = 20;
/** The most that a piece waits for answers: a swallowed request gets none. */
const TURNS = 100;

function post(
  id: string,
  { target = '/notify', lines, body }: { target?: string; lines: readonly string[]; body: Buffer },
): Buffer {
  const head = [`POST ${target} HTTP/1.1`, 'Host: h', `X-Id: ${id}`, ...lines, '', ''].join('\r\n');
  return Buffer.concat([Buffer.from(head), body]);
}

const length = (body: Buffer) => `Content-Length: ${body.length}`;

/** A POST without a signature. */
export const refusedPost = (id: string, body: Buffer): Message => ({
  id,
  bytes: post(id, { lines: [length(body)], body }),
  expect: 'refused',
});

/** The same in two chunks. */
export function refusedChunks(id: string, body: Buffer): Message {
  const half = Math.ceil(body.length / 2);
  const chunk = (bytes: Buffer) => [`${bytes.length.toString(16)}\r\n`, bytes, '\r\n'].map((part) => Buffer.from(part));
  const chunks = [body.subarray(0, half), body.subarray(half)].filter(({ length }) => length > 0).flatMap(chunk);
  const framed = Buffer.concat([...chunks, Buffer.from('0\r\n\r\n')]);
  return { id, bytes: post(id, { lines: ['Transfer-Encoding: chunked'], body: framed }), expect: 'refused' };
}

/** A POST to a forward route. */
export const openPost = (id: string, body: Buffer): Message => ({
  id,
  bytes: post(id, { target: `/open/${id}`, lines: [length(body)], body }),
  expect: 'served',
});

/** A signed delivery. */
export const delivery = (id: string, body: Buffer): Message => ({
  id,
  bytes: post(id, { lines: [`Entrupy-Signature: ${sign(SECRET, body)}`, length(body)], body }),
  expect: 'served',
});

export const openGet = (id: string): Message => ({
  id,
  bytes: Buffer.from(`GET /open/${id} HTTP/1.1\r\nHost: h\r\nX-Id: ${id}\r\n\r\n`),
  expect: 'served',
});

/** An upstream that answers each request with its `X-Id`. */
export function startEcho(): Promise<Upstream> {
  return startUpstream({
    handle: ({ headers }, response) => response.setHeader('X-Id', headers['x-id'] ?? 'none').end('ok'),
  });
}

const hiddenId = (id: string) => `hidden-${id}`;

/** A body with a complete request in it, `at` this offset. */
export function hiding(id: string, bytes: number, at: number): Buffer {
  const body = Buffer.alloc(bytes, 'x');
  body.write(`\r\n\r\n${HIDDEN} HTTP/1.1\r\nHost: h\r\nX-Id: ${hiddenId(id)}\r\n\r\n`, at, 'latin1');
  return body;
}

/** Sends the pieces on a new connection and judges what came of them; a sentence for each fault. */
export async function faultsOf(
  { proxy, upstream }: { proxy: RunningProxy; upstream: Upstream },
  messages: readonly Message[],
  pieces: readonly Piece[],
): Promise<string[]> {
  const client = await openClient(proxy);
  const end = { answers: [] as string[], how: 'open' };
  client.socket.once('error', (error: NodeJS.ErrnoException) => {
    if (end.how === 'open') end.how = error.code ?? error.message;
  });
  client.socket.once('end', () => {
    if (end.how === 'open') end.how = 'ended';
  });
  const waits = pieces.some(({ beside }) => beside !== undefined);
  const asked = new Promise((resolve) => waits && upstream.server.once('request', resolve));
  const reading = read(client, end.answers);
  for (const piece of pieces) {
    const { after = 0 } = piece;
    for (let turns = 0; turns < TURNS && end.how === 'open' && end.answers.length < after; turns++) await turn(proxy);
    if (piece.apart === true) await turn(proxy);
    if (piece.beside !== undefined) await asked;
    for (let turns = 0; turns < (piece.beside ?? 0); turns++) await new Promise(setImmediate);
    if (client.socket.writable) await client.send(piece.bytes);
  }
  // A swallowed delivery leaves a connection that waits for more: the next request shows it, since it gets an answer.
  for (let sent = 0; sent < FINALS && end.how === 'open'; sent++) {
    await turn(proxy);
    await client.send(`GET /open/${FINAL} HTTP/1.1\r\nHost: h\r\nX-Id: ${FINAL}\r\nConnection: close\r\n\r\n`);
  }
  const broken = await reading;
  client.destroy();
  const wanted = messages.map(({ id, expect }) => (expect === 'refused' ? '401' : `200 ${id}`));
  const seen = upstream.requests.map(({ headers, target }) => headers['x-id']?.toString() ?? `none ${target}`);
  return [
    ...broken,
    ...judge({ ...end, wanted: [...wanted, `200 ${FINAL}`] }),
    ...unaccounted(messages, end.answers, seen),
  ];
}

/** Resolves once the proxy's process has answered on another socket. */
async function turn({ adminUrl }: RunningProxy): Promise<void> {
  await (await fetch(`${adminUrl}/livez`)).arrayBuffer();
}

async function read(client: RawClient, answers: string[]): Promise<string[]> {
  try {
    for (;;) {
      const response = await client.responseOrClose();
      if (response === null) return [];
      answers.push(textOf(response));
    }
  } catch (error) {
    return [String(error)];
  }
}

function textOf({ status, lines }: RawResponse): string {
  const [id] = values(lines, 'x-id');
  return id === undefined ? String(status) : `${status} ${id}`;
}

function judge({ answers, wanted, how }: { answers: string[]; wanted: string[]; how: string }): string[] {
  const at = answers.findIndex((answer, index) => answer !== wanted[index]);
  if (at !== -1) return [`answer ${at} is ${answers[at]}, not ${wanted[at] ?? 'any'}`];
  if (answers.length < wanted.length && how !== 'ended')
    return [`no answer ${answers.length}, and the connection: ${how}`];
  return [];
}

/** Requests at the upstream that no answer told of, that nobody sent, or that came twice. */
function unaccounted(messages: readonly Message[], answers: readonly string[], seen: readonly string[]): string[] {
  const of = (id: string) => seen.filter((other) => other === id).length;
  const served = messages.filter(({ expect }) => expect === 'served');
  return [
    ...served.filter(({ id }) => of(id) > 1).map(({ id }) => `${id} came twice`),
    ...served
      .filter(({ id }) => of(id) > 0 && !answers.includes(`200 ${id}`))
      .map(({ id }) => `${id} reached the upstream and got no answer`),
    ...messages.filter(({ id }) => of(hiddenId(id)) > 0).map(({ id }) => `the body of ${id} became a request`),
    ...seen.filter((id) => id.startsWith('none')).map((id) => `a request with ${id}`),
  ];
}
