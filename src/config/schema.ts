// What the user may write: the one definition behind parsing, errors, config.schema.json and docs/configuration.md.
// It must never hold a rule that needs two keys (rules.ts) nor let a secret's value be written down.
import * as z from 'zod/mini';
import { ACTIONS, routeSchema, secretSchema } from './entries.ts';
import { filePath, flag, integer, key, list, oneOf, section } from './leaves.ts';
import { cidr, host, hostName, storeUrl, upstreamUrl } from './locations.ts';
import { bodySize, duration, idleTimeout, responseTimeout, size, sizeOrAuto } from './quantities.ts';

const port = () => integer(0, 65_535);

const listen = section({
  host: key(
    'Where to listen: :: is all interfaces, dual-stack, IPv4 alone where there is no IPv6.',
    z.prefault(host(), '::'),
  ),
  port: key('Where clients come in. 0 takes any free port.', z.prefault(port(), 8080)),
  keepAlive: key(
    "An idle client connection stays open this long: longer than the load balancer's, so that it never reuses one that closes.",
    z.prefault(duration({ min: '1s', max: '1h' }), '75s'),
  ),
  trustedProxies: key(
    'Networks whose X-Forwarded-For names the client, in the log only.',
    z.prefault(list(cidr(), { allowed: 'a list of networks', min: 0 }), []),
  ),
  tls: key(
    'TLS towards clients; reloaded when the files change.',
    z.optional(
      section({
        certFile: key('The certificate chain, PEM.', filePath()),
        keyFile: key('Its private key, PEM.', filePath()),
        clientCaFile: key('With it, clients need a certificate that one of these CAs signed.', z.optional(filePath())),
      }),
    ),
  ),
});

const admin = section({
  host: key('Where metrics, probes and the status page listen: never on the traffic port.', z.prefault(host(), '::')),
  port: key('Their port. 0 takes any free port.', z.prefault(port(), 9464)),
  readyNeedsUpstream: key(
    "Not ready until the upstream has accepted a connection. For a sidecar; a start-up probe doesn't look at it.",
    z.prefault(flag(), false),
  ),
  actionsFrom: key(
    'Networks that may use /-/drain, /-/reload and /-/retire-previous; with none, whoever reaches the port. Loopback always may.',
    z.prefault(list(cidr(), { allowed: 'a list of networks', min: 0 }), []),
  ),
});

const upstream = section({
  url: key('The app behind the proxy.', z.prefault(upstreamUrl(), 'http://127.0.0.1:3000')),
  connections: key(
    'Sockets at most, so as many requests in flight; those beyond wait, at most retryConnectFor.',
    z.prefault(integer(1, 10_000), 128),
  ),
  connectTimeout: key('For one try to connect.', z.prefault(duration({ min: '10ms', max: '1m' }), '2s')),
  retryConnectFor: key(
    'A connection that is refused or times out is tried again this long: no byte was sent yet, so it is safe. 0 tries once.',
    z.prefault(duration({ min: '10ms', max: '5m', off: true }), '5s'),
  ),
  responseTimeout: key("Until the response's head.", z.prefault(responseTimeout(), '30s')),
  idleTimeout: key("Between two pieces of the response's body; 0 is off.", z.prefault(idleTimeout(), '30s')),
  keepAlive: key(
    "An idle upstream socket is dropped after this: keep it below the app's own. 0 is one request a socket.",
    z.prefault(duration({ min: '1ms', max: '10m', off: true }), '1s'),
  ),
  forwardedHeaders: key(
    'none leaves X-Forwarded-* as they came; overwrite sets X-Forwarded-For, -Proto and -Host to what the proxy saw.',
    z.prefault(oneOf(['none', 'overwrite']), 'none'),
  ),
  checkExposure: key(
    "With $POD_IP set: warn, and set a gauge, when the upstream's port also answers there, past the proxy.",
    z.prefault(flag(), false),
  ),
  tls: key(
    'TLS towards an https:// upstream.',
    z.optional(
      section({
        caFile: key("The CAs to trust instead of the system's, PEM.", z.optional(filePath())),
        certFile: key('A client certificate, PEM.', z.optional(filePath())),
        keyFile: key('Its private key, PEM.', z.optional(filePath())),
        serverName: key(
          "The name to expect: the URL's host by default, never the client's Host.",
          z.optional(hostName()),
        ),
      }),
    ),
  ),
});

const limits = section({
  maxBody: key('Of verified requests; they are held in memory.', z.prefault(bodySize(), '1MiB')),
  bufferedBytes: key(
    "All verified bodies held at once; auto is the smaller of 64MiB and a quarter of the container's memory.",
    z.prefault(sizeOrAuto({ min: '1KiB', max: '16GiB' }), 'auto'),
  ),
  maxHeader: key("Of a request's head.", z.prefault(size({ min: '1KiB', max: '256KiB' }), '16KiB')),
  headersTimeout: key('For the whole head of a request.', z.prefault(duration({ min: '10ms', max: '5m' }), '10s')),
  bodyTimeout: key(
    "For a verified body, absolute; a forward route's body has the idle timeout instead.",
    z.prefault(duration({ min: '10ms', max: '1h' }), '30s'),
  ),
  connections: key('Of clients, and of requests that wait for the upstream.', z.prefault(integer(1, 100_000), 1024)),
  connectionAge: key(
    'A client connection is closed after this, between two requests.',
    z.prefault(duration({ min: '1s', max: '168h' }), '1h'),
  ),
});

const shutdown = section({
  delay: key(
    'After SIGTERM: not ready, still serving, so that load balancers notice. Skipped on SIGINT and after a drain that lasted as long.',
    z.prefault(duration({ min: '1ms', max: '10m', off: true }), '5s'),
  ),
  grace: key(
    'Then in-flight requests may take this long.',
    z.prefault(duration({ min: '1ms', max: '1h', off: true }), '20s'),
  ),
});

const once = section({
  store: key(
    'Where delivered events are remembered; only used when a route has once.',
    z.prefault(storeUrl(), 'memory'),
  ),
  passwordFile: key('The password of the Redis or Valkey store.', z.optional(filePath())),
  onStoreFailure: key(
    'When the store fails: forward, at the risk of a duplicate, or refuse with 503.',
    z.prefault(oneOf(['forward', 'refuse']), 'forward'),
  ),
  maxEntries: key('Of the memory store: oldest out first.', z.prefault(integer(1, 10_000_000), 100_000)),
});

const log = section({
  level: key('The least severe level that is logged.', z.prefault(oneOf(['debug', 'info', 'warn', 'error']), 'info')),
  requests: key(
    'Which requests are logged: rejected means those refused or reported, and our own 5xx.',
    z.prefault(oneOf(['all', 'rejected', 'none']), 'rejected'),
  ),
});

export const LISTS = {
  secrets: 'a list of secrets, each with file, env or directory',
  routes: 'a list of routes, each with a path',
} as const;

/** The file as a whole. Sections and lists may be left empty: that is what remains when all below them is commented out. */
export const configSchema = section({
  listen: key('Where clients come in.', z.prefault(listen, {})),
  admin: key('Metrics, probes and the status page.', z.prefault(admin, {})),
  upstream: key('The app behind the proxy.', z.prefault(upstream, {})),
  secrets: key(
    'Where secrets come from. All of them are live at once; that is what makes rotation possible.',
    z.prefault(list(secretSchema, { allowed: LISTS.secrets, min: 0 }), []),
  ),
  routes: key('What becomes of which path.', z.prefault(list(routeSchema, { allowed: LISTS.routes, min: 0 }), [])),
  unmatched: key(
    'What becomes of every other path: verify (POST alone), forward (warned about at start) or reject (404).',
    z.prefault(oneOf(ACTIONS), 'verify'),
  ),
  limits: key('How much is taken in, and how long it may last.', z.prefault(limits, {})),
  shutdown: key('How it stops.', z.prefault(shutdown, {})),
  once: key('Where a route with once remembers.', z.prefault(once, {})),
  log: key('One JSON line an event, on standard output.', z.prefault(log, {})),
});

/** Lists and mappings that may be left empty (`listen:` and nothing below it), by key path. A scalar may not. */
export const MAY_BE_EMPTY: ReadonlySet<string> = new Set([
  ...Object.keys(configSchema.shape).filter((name) => name !== 'unmatched'),
  'listen.tls',
  'upstream.tls',
]);
