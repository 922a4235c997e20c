// Reads the body of a request whole, to be verified.
import { setImmediate as nextTurn } from 'node:timers/promises';
import { SMALL_BODY } from '../bodies/budget.ts';
import { type BodyEnd, BufferedBody, type BufferedBodyOptions } from '../bodies/buffered-body.ts';
import type { Exchange } from './client-exchange.ts';

/**
 * The queue of large bodies: each is verified in its own turn of the event loop. Node accepts one connection per turn,
 * so with the HMACs of 200 bodies of 1 MiB in one turn a newcomer waited 6 s.
 */
let lastTurn: Promise<void> = Promise.resolve();

/**
 * Reads the body of an exchange and calls `done` at its end. A large body first waits for its own turn, since its HMAC
 * takes long; it is dropped if the client departs meanwhile.
 */
export function readWhole(
  exchange: Exchange,
  options: BufferedBodyOptions,
  done: (end: BodyEnd) => void,
): BufferedBody {
  const body = new BufferedBody(options, (end) => {
    exchange.onDeparture(null);
    exchange.receiver = null;
    exchange.bodyBytes = body.received;
    if ('failure' in end || body.received <= SMALL_BODY) return done(end);
    lastTurn = lastTurn.then(nextTurn).then(() => {
      if (exchange.departed) body.discard();
      else done(end);
    });
  });
  exchange.receiver = body;
  exchange.onDeparture(() => body.fail('client_closed'));
  exchange.reply.continue();
  return body;
}
