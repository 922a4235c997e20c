// An open WebSocket: bytes both ways until both sides have ended. Nothing in it is verified.
import { Buffer } from 'node:buffer';
import type { Socket } from 'node:net';
import type { Exchange } from '../downstream/exchange.ts';
import { ignore } from '../wire/sockets.ts';
import type { ForwardOptions } from './exchange.ts';
import { type ConnectionUser, PROBE_AFTER_MS } from './pool.ts';

/** Milliseconds of silence that end a tunnel after one side has closed, where `idleTimeout` is off. */
const HALF_CLOSED_MS = 30_000;

/** Takes the client's socket from its connection, which has got the 101, and joins it to the upstream's. */
export function openTunnel(
  exchange: Exchange,
  upstream: Socket,
  { idleTimeout, onEnd }: Pick<ForwardOptions, 'idleTimeout' | 'onEnd'>,
): ConnectionUser {
  const { stream: client, early } = exchange.connection.giveAway();
  /** A side that never answers the other's close must not hold both sockets forever. */
  const halfClosed = () => {
    for (const socket of [client, upstream]) socket.setTimeout(idleTimeout || HALF_CLOSED_MS, () => socket.destroy());
  };
  exchange.onLeft(() => {
    halfClosed();
    upstream.destroySoon(); // the client's last bytes still go out
    onEnd(true);
  });
  client.setKeepAlive(true, PROBE_AFTER_MS); // a tunnel may be silent for ever
  client.on('drain', () => upstream.resume());
  client.once('end', halfClosed);
  upstream.write(early);
  client.pipe(upstream);
  return {
    onData: (bytes) => {
      // A copy, since the next read overwrites the bytes.
      if (!client.write(Buffer.from(bytes))) upstream.pause();
    },
    onEnd: () => {
      client.end();
      halfClosed();
    },
    onClose: (error) => {
      if (error !== null && !client.destroyed && !upstream.readableEnded) exchange.upstreamFailure = 'reset';
      if (error === null) client.end();
      else client.destroySoon();
      halfClosed();
    },
    letClientGoOn: ignore,
    tick: ignore,
  };
}
