// A client far away: it is one relay away, which holds back each flight for half the round trip. A loopback address stands
// for a client's.
import { connect, createServer, type Socket } from 'node:net';
import { type Listening, listening } from '../machine/listening.ts';

/** Relays to the port from this loopback address; what passes takes half of `roundTrip` milliseconds each way. */
export async function startRelay(to: number, from: string, roundTrip: number): Promise<Listening> {
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (near) => {
    // As far away as its bytes: a client's first flight comes with the last step of the TCP handshake.
    near.once('data', (first: Buffer) => {
      near.pause();
      const far = connect({ port: to, host: '127.0.0.1', localAddress: from, noDelay: true, allowHalfOpen: true });
      far.write(first);
      slowly(near, far, roundTrip / 2);
      slowly(far, near, roundTrip / 2);
      near.resume();
    });
    near.on('error', () => {});
  });
  return listening(server);
}

function slowly(from: Socket, to: Socket, delay: number): void {
  const later = (act: () => void) => void setTimeout(act, delay);
  from.on('data', (bytes: Buffer) => later(() => to.writable && to.write(bytes)));
  from.on('end', () => later(() => to.end()));
  from.on('error', () => {});
  from.on('close', (failed) => failed && later(() => to.resetAndDestroy()));
}
