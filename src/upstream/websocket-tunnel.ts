// A WebSocket's tunnel, from the 101 that accepts its handshake on: http-proxy-3 writes that 101 to the client, pipes
// the bytes both ways, and ends each side when the other ends.
//
// Its request goes to an agent of ours, whose answer is the 101 that has come, checked by upstream-exchange.ts. Given a
// socket to ask by itself (`createConnection`), the library opens a tunnel for any 101, even where bytes are missing, and
// relays refusals without backpressure, coded bytes as plain, and a cut body as whole (then
// test/integration/websocket-refused-handshakes.test.ts fails).
import type { Agent, ClientRequest, IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { NO_BYTES } from '../base/bytes.ts';
import { ignore } from '../base/errors.ts';
import { tunnelHeaders } from '../core/websocket-handshake.ts';
import { KEEP_ALIVE_AFTER_MS } from './connect.ts';
import type { FromClient, Requester } from './contract.ts';
import type { ConnectionUser, UpstreamConnection } from './upstream-connection.ts';

/** Milliseconds of silence that end a tunnel after one side has closed, if `idleTimeout` is off. */
const HALF_CLOSED_MS = 30_000;
const ASKED = { method: 'GET', url: '/', headers: { upgrade: 'websocket' } } as IncomingMessage;
const TARGET = { protocol: 'http:', host: 'localhost', port: 80 };

interface Opening {
  readonly library: typeof import('./websocket-library.ts');
  readonly client: Socket;
  /** Bytes of the upstream that came in the same read as the 101, behind it. */
  readonly early: Buffer;
  /** Milliseconds; 0 is off. */
  readonly idleTimeout: number;
  /** Called once the client has departed. */
  readonly onEnd: () => void;
}

/** The library, loaded with the first tunnel, since most proxies never have one; null if it can't be loaded. */
export const tunnelLibrary = () => import('./websocket-library.ts').catch(() => null);

/** Takes the stream over from the client's connection; null if its first bytes are lost, without which it is useless. */
export function takeOver({ clientConnection }: FromClient): Socket | null {
  const sent = clientConnection.handOver();
  if (sent === 'dropped') return null;
  if (sent.length > 0) clientConnection.stream.unshift(sent);
  return clientConnection.stream;
}

/** Opens the tunnel. Returns the new user of the upstream's connection, whose parser has just read the 101. */
export function openTunnel(
  requester: Requester,
  { socket: upstream, parser }: UpstreamConnection,
  { library, client, early, idleTimeout, onEnd }: Opening,
): ConnectionUser {
  /** Ends both sockets if they fall silent: a side that never answers the other's close must not hold both forever. */
  const endSoon = () => {
    const milliseconds = idleTimeout || HALF_CLOSED_MS;
    for (const socket of [client, upstream]) socket.setTimeout(milliseconds, () => socket.destroy());
  };
  const clientDeparted = () => {
    endSoon();
    upstream.destroySoon(); // the client's last bytes still go out
    onEnd();
  };
  requester.onDeparture({ clientDeparted });
  client.setDefaultEncoding('latin1'); // http-proxy-3 writes the head as text: UTF-8 would change its bytes
  const answer = { headers: tunnelHeaders(parser.lines) } as IncomingMessage;
  // A microtask, since the library listens for the answer once it has made its request.
  const addRequest = (request: ClientRequest) => queueMicrotask(() => request.emit('upgrade', answer, upstream, early));
  const proxy = library.createProxyServer({ target: TARGET, agent: { addRequest } as unknown as Agent });
  proxy.on('error', ignore); // errors of the client's socket, whose 'close' ends the exchange
  proxy.ws(ASKED, client, NO_BYTES, () => {
    if (!client.closed && !upstream.readableEnded) requester.upstreamFailure = 'reset';
  });
  for (const socket of [client, upstream]) socket.setKeepAlive(true, KEEP_ALIVE_AFTER_MS); // a tunnel may be silent forever
  client.once('end', endSoon);
  return { onOpen: ignore, onData: ignore, tick: ignore, onEnd: endSoon, onClose: endSoon };
}
