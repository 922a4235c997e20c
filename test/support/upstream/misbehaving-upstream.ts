// An upstream that reads requests by the RFC, and answers each with the misbehaviour that the seed assigns to its id,
// so the client knows what to expect. It must learn a request's id from the request alone, never from the proxy.
import { createServer, type Socket } from 'node:net';
import { listening } from '../machine/listening.ts';
import { seeded } from '../runner/seeded.ts';
import { HONEST, MISBEHAVIOURS, type Misbehaviour, SILENT } from './misbehaviours.ts';

/** Half of the requests are answered by the RFC. */
export function dealt(seed: number, id: number): Misbehaviour {
  const random = seeded(seed * 1_000_003 + id);
  const chance = random();
  const all = chance < 0.01 ? SILENT : chance < 0.5 ? HONEST : MISBEHAVIOURS;
  return all[Math.floor(random() * all.length)] as Misbehaviour;
}

interface Waiting {
  bytes: Buffer;
  /** The request whose misbehaviour was played before its body arrived. */
  played: number | null;
}

export async function startMisbehavingUpstream(seed: number) {
  /** Requests whose body belongs to another request or is incomplete. */
  const mixedUp: string[] = [];
  const take = (socket: Socket, waiting: Waiting) => {
    for (;;) {
      const text = waiting.bytes.toString('latin1');
      const end = text.indexOf('\r\n\r\n');
      if (end === -1) return;
      const head = text.slice(0, end);
      const id = Number(/^[A-Z]+ \/\S*\?id=(\d+) HTTP\/1\.1\r\n/.exec(head)?.[1]);
      const misbehaviour = dealt(seed, id);
      if (misbehaviour.early && waiting.played !== id) {
        waiting.played = id;
        misbehaviour.play(socket, id);
      }
      const body = takeBody(head, text.slice(end + 4));
      if (body === null) return;
      if (body.text !== '' && !body.text.startsWith(`{"id":${id},`)) mixedUp.push(`${id}: ${body.text.slice(0, 80)}`);
      waiting.bytes = waiting.bytes.subarray(end + 4 + body.length);
      if (!misbehaviour.early) misbehaviour.play(socket, id);
    }
  };
  const server = createServer({ noDelay: true }, (socket) => {
    const waiting: Waiting = { bytes: Buffer.alloc(0), played: null };
    socket.on('error', () => socket.destroy());
    socket.on('data', (piece: Buffer) => {
      waiting.bytes = Buffer.concat([waiting.bytes, piece]);
      if (!socket.destroyed && !socket.isPaused()) take(socket, waiting);
    });
  });
  const { port, close } = await listening(server);
  return { url: `http://127.0.0.1:${port}`, mixedUp, close };
}

/** The body that the head declares; null if it is incomplete. */
function takeBody(head: string, rest: string): { text: string; length: number } | null {
  const declared = /^content-length: (\d+)$/im.exec(head)?.[1];
  if (declared !== undefined) {
    const length = Number(declared);
    return rest.length < length ? null : { text: rest.slice(0, length), length };
  }
  if (!/^transfer-encoding: chunked$/im.test(head)) return { text: '', length: 0 };
  let text = '';
  for (let at = 0; ; ) {
    const lineEnd = rest.indexOf('\r\n', at);
    if (lineEnd === -1) return null;
    const size = Number.parseInt(rest.slice(at, lineEnd), 16);
    const next = lineEnd + 2 + size + 2;
    if (rest.length < next) return null;
    if (size === 0) return { text, length: next };
    text += rest.slice(lineEnd + 2, next - 2);
    at = next;
  }
}
