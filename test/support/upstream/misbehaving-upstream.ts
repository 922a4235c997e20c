// An upstream that answers each request with the misbehaviour that the seed assigns to its id, so the client knows what to
// expect. It must learn a request's id from the request alone, never from the proxy.
import { createServer, type Socket } from 'node:net';
import { listening } from '../machine/listening.ts';
import { seeded } from '../runner/seeded.ts';
import { takeRequest } from './lenient-upstream.ts';
import { HONEST, MISBEHAVIOURS, type Misbehaviour, SILENT } from './misbehaviours.ts';

/** Half of the requests are answered by the RFC. */
export function dealt(seed: number, id: number): Misbehaviour {
  const random = seeded(seed * 1_000_003 + id);
  const chance = random();
  const all = chance < 0.01 ? SILENT : chance < 0.5 ? HONEST : MISBEHAVIOURS;
  return all[Math.floor(random() * all.length)] as Misbehaviour;
}

/** Of the first request, once its head is whole. */
const idOf = (bytes: Buffer) =>
  Number(/^[A-Z]+ \/\S*\?id=(\d+) HTTP\/1\.1\r\n[\s\S]*\r\n\r\n/.exec(bytes.toString('latin1', 0, 4096))?.[1]);

export async function startMisbehavingUpstream(seed: number) {
  /** Requests whose body belongs to another request or is incomplete. */
  const mixedUp: string[] = [];
  const compare = (id: number, body: string) => {
    if (body !== '' && !body.startsWith(`{"id":${id},`)) mixedUp.push(`${id}: ${body.slice(0, 80)}`);
  };
  const onConnection = (socket: Socket) => {
    let bytes = Buffer.alloc(0);
    /** The request whose misbehaviour was played before its body arrived. */
    let played = 0;
    const isOver = () => socket.destroyed || socket.isPaused();
    socket.on('error', () => socket.destroy());
    socket.on('data', (piece: Buffer) => {
      bytes = Buffer.concat([bytes, piece]);
      for (let id = idOf(bytes); id > 0 && !isOver(); id = idOf(bytes)) {
        const { early, play } = dealt(seed, id);
        if (early && played !== id) play(socket, id);
        played = id;
        const request = takeRequest(bytes);
        if (request === null) return;
        compare(id, request.body.toString('latin1'));
        bytes = bytes.subarray(request.raw.length);
        if (!early) play(socket, id);
      }
    });
  };
  const { port, close } = await listening(createServer({ noDelay: true }, onConnection));
  return { url: `http://127.0.0.1:${port}`, mixedUp, close };
}
