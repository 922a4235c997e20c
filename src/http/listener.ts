// node's own server, plain or with TLS, hardened. Which options are live is decided here and nowhere else.
import type { IncomingMessage, Server } from 'node:http';
import type { Socket } from 'node:net';
import type { TlsContents } from './tls.ts';

/**
 * Not by `import`, here and in every file: that reads each export of the module, `WebSocket` too, which loads the undici
 * inside node. 35 ms of start and 15 MiB of idle memory, for nothing that is used.
 */
const { createServer } = process.getBuiltinModule('node:http');

/** Times in milliseconds, sizes in bytes. */
export interface ListenerOptions {
  readonly keepAlive: number;
  readonly maxHeader: number;
  readonly headersTimeout: number;
  readonly connections: number;
  /** Null: plain HTTP. */
  readonly tls: TlsContents | null;
}

/** Header lines at most; more are refused with 431. */
export const MAX_HEADERS = 100;

/** Above the limit, room for newcomers while the connections whose place they take are closing (connections.ts). */
const SPARE = 64;

/** How often node looks for heads that take too long, in milliseconds. */
const CHECK_EVERY_MS = 500;

/** In 24.21 and 26; keeps NODE_OPTIONS=--insecure-http-parser from loosening the parser. Older types don't know it. */
const STRICT: object = { httpValidation: 'strict' };

/** `mayUpgrade`: which requests come as 'upgrade'. Every other one, whatever its Upgrade line says, is an ordinary request. */
export function createListener(options: ListenerOptions, mayUpgrade: (request: IncomingMessage) => boolean): Server {
  const http = {
    maxHeaderSize: options.maxHeader,
    headersTimeout: options.headersTimeout,
    requestTimeout: 0, // forward routes stream as long as they like; verified bodies have their own deadline
    connectionsCheckingInterval: CHECK_EVERY_MS,
    keepAliveTimeout: options.keepAlive,
    shouldUpgradeCallback: mayUpgrade,
    requireHostHeader: false, // the gate asks for it, with our answer
    ...STRICT,
  };
  // Loaded only where it is needed: TLS costs 2 MB of idle memory.
  const server =
    options.tls === null
      ? createServer(http)
      : process
          .getBuiltinModule('node:https')
          .createServer({ ...http, ...tlsOptions(options.tls), handshakeTimeout: options.headersTimeout });
  // Node before 24.21 leaves out what is over this and says nothing; one more than the limit shows it (pipeline.ts).
  server.maxHeadersCount = MAX_HEADERS + 1;
  server.maxConnections = options.connections + SPARE;
  return server;
}

/** Client certificates are asked for, and must be good, where a CA for them is given. */
function tlsOptions(tls: TlsContents) {
  return { ...tls, requestCert: tls.ca !== undefined, rejectUnauthorized: true, ALPNProtocols: ['http/1.1'] };
}

/** `listener` hears of each connection that can carry requests: with TLS, once the handshake is done. */
export function onConnection(server: Server, listener: (socket: Socket) => void): void {
  server.on('setSecureContext' in server ? 'secureConnection' : 'connection', listener);
}

/** After a reload. New TLS contents hold for handshakes from now on; `maxHeader`, and TLS or none, need a restart. */
export function adoptOptions(server: Server, options: ListenerOptions): void {
  server.headersTimeout = options.headersTimeout;
  server.keepAliveTimeout = options.keepAlive;
  server.maxConnections = options.connections + SPARE;
  if (options.tls !== null && 'setSecureContext' in server) {
    const secure = server as Server & { setSecureContext(options: object): void; requestCert: boolean };
    // A CA that came or went with the reload: setSecureContext alone would go on asking, or not asking, for certificates.
    secure.requestCert = options.tls.ca !== undefined;
    secure.setSecureContext(tlsOptions(options.tls));
  }
}
