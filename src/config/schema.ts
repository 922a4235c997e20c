// The keys of the configuration file and their defaults: the one source for parsing, errors, types, config.schema.json
// and docs/configuration.md. Rules about several keys are in cross-key-rules.ts. No key takes a secret's value.
import { ADMIN_PORT, STATE_DIRECTORY } from '../base/default-places.ts';
import {
  cidr,
  date,
  deferredStore,
  duration,
  filePath,
  flag,
  host,
  hostName,
  integer,
  key,
  list,
  matching,
  oneOf,
  optional,
  or,
  section,
  size,
  storeUrl,
  upstreamUrl,
} from './value-kinds.ts';

const bodySize = () => size('1', '64MiB');
const responseTimeout = () => duration('10ms', '1h');
const idleTimeout = () => duration('10ms', '24h', 0);
const port = () => integer(0, 65_535);
const networks = () => list(cidr(), 'a list of networks');
const appName = () => matching('a name of letters, digits, ".", "_" and "-", or nothing', /^[A-Za-z0-9._-]{0,253}$/);

const listen = section({
  host: key('The address to listen on. :: is all interfaces, IPv4 alone without IPv6.', or(host(), '::')),
  port: key('The port that clients connect to. 0 takes any free port.', or(port(), 8080)),
  keepAlive: key(
    "How long an idle client connection stays open. Make it longer than the load balancer's idle timeout, or the balancer reuses connections that are being closed.",
    or(duration('1s', '1h'), '75s'),
  ),
  trustedProxies: key('Networks whose X-Forwarded-For names the client, in the log only.', or(networks(), [])),
  tls: optional(
    'TLS for clients. The files are reloaded when they change.',
    section({
      certFile: key('The certificate chain, PEM.', filePath()),
      keyFile: key('Its private key, PEM.', filePath()),
      clientCaFile: optional('If set, clients need a certificate signed by one of these CAs.', filePath()),
    }),
  ),
});

const admin = section({
  host: key('The address to listen on for metrics, probes and the status page.', or(host(), '::')),
  port: key('The admin port. 0 takes any free port.', or(port(), ADMIN_PORT)),
  readyNeedsUpstream: key('For a sidecar: not ready until the upstream accepts connections.', or(flag(), false)),
  actionsFrom: key(
    'Networks that may use the paths under /-/. If empty, anyone who reaches the port may, but for /-/capture. Loopback always may.',
    or(networks(), []),
  ),
});

/** Milliseconds for `retryConnectFor` if it is not set: fewer for a delivery that can be stored. */
export const RETRY_CONNECT_MS = { plain: 5000, storable: 1000 };

const upstream = section({
  url: key('The app behind the proxy.', or(upstreamUrl(), 'http://127.0.0.1:3000')),
  connections: key('The most sockets, so requests. Others wait up to retryConnectFor.', or(integer(1, 10_000), 128)),
  connectTimeout: key('The limit of one attempt to connect.', or(duration('10ms', '1m'), '2s')),
  retryConnectFor: optional(
    'How long to retry a connection that is refused or times out. This is safe: no byte was sent yet. 0 tries once. If not set, 5s, and 1s for deliveries on a route with redeliver.',
    duration('10ms', '5m', 0),
  ),
  responseTimeout: key("How long to wait for the response's head.", or(responseTimeout(), '30s')),
  idleTimeout: key("The longest pause within the response's body. 0 is off.", or(idleTimeout(), '30s')),
  keepAlive: key(
    "How long an idle upstream socket is kept. Keep it below the app's own keep-alive timeout. 0 is one request per socket.",
    or(duration('1ms', '10m', 0), '1s'),
  ),
  forwardedHeaders: key(
    'none leaves them as they are; overwrite sets X-Forwarded-For, -Proto, -Host, -Port and X-Real-IP to what the proxy saw, and removes Forwarded and every other X-Forwarded-*, except those in allowHeaders.',
    or(oneOf(['none', 'overwrite']), 'none'),
  ),
  checkExposure: key("Warn, with a gauge, if the app's port answers on $POD_IP past the proxy.", or(flag(), false)),
  tls: optional(
    'TLS for an https:// upstream.',
    section({
      caFile: optional("The CAs to trust instead of the system's, PEM.", filePath()),
      certFile: optional('A client certificate, PEM.', filePath()),
      keyFile: optional('Its private key, PEM.', filePath()),
      serverName: optional(
        "The server name to send and verify: by default the URL's host, never the client's.",
        hostName(),
      ),
    }),
  ),
});

const limits = section({
  maxBody: key('The largest body of a verified request, which is buffered in memory.', or(bodySize(), '1MiB')),
  bufferedBytes: key(
    "The limit of all verified bodies buffered at once. auto is the smaller of 64MiB and a quarter of the container's memory.",
    or(size('1KiB', '16GiB', 'auto'), 'auto'),
  ),
  maxHeader: key('The largest request head.', or(size('1KiB', '256KiB'), '16KiB')),
  headersTimeout: key('How long the whole head of a request may take.', or(duration('10ms', '5m'), '10s')),
  bodyTimeout: key('How long a verified body may take. Others have idleTimeout.', or(duration('10ms', '1h'), '30s')),
  connections: key('The most client connections, and waiting requests.', or(integer(1, 100_000), 1024)),
  connectionAge: key('How long a client connection lasts. It ends between requests.', or(duration('1s', '168h'), '1h')),
});

const shutdown = section({
  delay: key(
    'How long to serve after SIGTERM while not ready, so that load balancers notice. Skipped on SIGINT, and after a drain that lasted as long.',
    or(duration('1ms', '10m', 0), '5s'),
  ),
  grace: key('How long in-flight requests may take after that.', or(duration('1ms', '1h', 0), '20s')),
});

const once = section({
  store: key('The store of delivered events. Only used if a route has once.', or(storeUrl(), 'memory')),
  name: key(
    "Part of the keys in Redis or Valkey. Apps that share one need different names, or one app's events count as delivered for the other.",
    or(appName(), ''),
  ),
  passwordFile: optional('A file that holds the password of the Redis or Valkey store.', filePath()),
  onStoreFailure: key(
    'When the store fails: forward, at the risk of a duplicate, or refuse with 503.',
    or(oneOf(['forward', 'refuse']), 'forward'),
  ),
  maxEntries: key('The most events in memory. The oldest are removed first.', or(integer(1, 10_000_000), 100_000)),
});

const redelivery = section({
  store: key(
    'Where deliveries that the app did not take are stored. Nothing is stored or sent unless a route has redeliver. A directory is for one process, on a local file system.',
    or(deferredStore(), STATE_DIRECTORY),
  ),
  passwordFile: optional('A file that holds the password of the Redis or Valkey store.', filePath()),
  name: key('Which proxies share what is stored. Required with Redis or Valkey: each app its own.', or(appName(), '')),
  maxBytes: key(
    'The limit of all that is stored; beyond it, deliveries are answered as without redeliver. A delivery counts at least 4KiB.',
    or(size('4KiB', '16GiB'), '256MiB'),
  ),
  keep: key(
    'How long what the app refused, did not take in time, or cannot be verified is kept after redeliver ends, for a person to deliver or drop it; 0: not at all. The oldest of it goes first when room is needed.',
    or(duration('1ms', '720h', 0), '168h'),
  ),
});

export const LOG_FORMATS = ['auto', 'json', 'text'] as const;

const log = section({
  format: key('auto is text, lines for people, on a terminal, else json.', or(oneOf(LOG_FORMATS), 'auto')),
  level: key('The least severe level that is logged.', or(oneOf(['debug', 'info', 'warn', 'error']), 'info')),
  requests: key('Requests to log; rejected: level warn or error.', or(oneOf(['all', 'rejected', 'none']), 'rejected')),
});

/** The longest window of `once`, `redeliver` and `overlap`: thirty days. */
const window = () => duration('1ms', '720h');

const secretId = () => matching('a name of letters, digits, ".", "_" and "-"', /^[A-Za-z0-9._-]{1,253}$/);

const secret = section({
  id: optional('The name of the secret in metrics and logs. Required with file and env.', secretId()),
  file: optional(
    'A file that holds the value; one trailing line break is stripped. Replace it in one step: write the new one beside it, then rename it.',
    filePath(),
  ),
  env: optional(
    'The name of the environment variable that holds the value. A name that is not set is never shown, as a value may have been pasted here.',
    matching("a variable's name, never a value", /^[A-Za-z_][A-Za-z0-9_]{0,253}$/),
  ),
  directory: optional(
    'A directory in which every regular file is a secret and its name the id. Names that begin with a dot are ignored.',
    filePath("a directory's path"),
  ),
  overlap: optional(
    'How long the old value stays valid after the content changes, as <id>.previous. It is kept in memory, so a restart ends it. With file and directory only.',
    window(),
  ),
  notBefore: optional('The secret is not valid before this time.', date()),
  notAfter: optional('The secret is not valid from this time on.', date()),
  allowShort: key('Accepts fewer than 16 bytes.', or(flag(), false)),
});

const ACTIONS = ['verify', 'forward', 'reject'] as const;

/** The parser's methods except CONNECT, in Node's order. Loading node:http for this list took 6 ms and 0.5 MB. */
export const METHODS = [
  ...(['ACL', 'BIND', 'CHECKOUT', 'COPY', 'DELETE', 'GET', 'HEAD', 'LINK', 'LOCK', 'M-SEARCH'] as const),
  ...(['MERGE', 'MKACTIVITY', 'MKCALENDAR', 'MKCOL', 'MOVE', 'NOTIFY', 'OPTIONS', 'PATCH', 'POST'] as const),
  ...(['PROPFIND', 'PROPPATCH', 'PURGE', 'PUT', 'QUERY', 'REBIND', 'REPORT', 'SEARCH', 'SOURCE'] as const),
  ...(['SUBSCRIBE', 'TRACE', 'UNBIND', 'UNLINK', 'UNLOCK', 'UNSUBSCRIBE'] as const),
];

export const routeSchema = section({
  path: key(
    'An exact path, or one that ends in /* and matches everything below it; on a verify or reject route it also matches the path itself, with and without a slash. The longest path wins, whatever the order.',
    matching('a path such as /notify or /webhooks/*', /^\//),
  ),
  action: key('What happens to a request.', or(oneOf(ACTIONS), 'verify')),
  methods: optional(
    'The allowed methods; others get 405. The default is POST for verify and every method for forward. GET includes HEAD.',
    list(oneOf(METHODS, 'an HTTP method such as GET or POST'), 'a list of methods, one at least', 1),
  ),
  secrets: optional(
    'The ids of the secrets to verify with, all by default. An id includes its previous value. verify only.',
    list(secretId(), 'a list of ids, one at least', 1),
  ),
  mode: key(
    'report forwards requests that enforce would refuse for their signature, their method or a missing secret, and counts them. verify only.',
    or(oneOf(['enforce', 'report']), 'enforce'),
  ),
  reportUntil: optional('From this time on the route enforces. With mode report only.', date()),
  maxBody: optional('The largest body. The default is limits.maxBody. verify only.', bodySize()),
  query: key('The query is not signed: refuse answers 400. verify only.', or(oneOf(['forward', 'refuse']), 'forward')),
  once: optional(
    'An event that was delivered within this time is answered, not forwarded again. Two events with equal bodies count as one. verify only.',
    window(),
  ),
  redeliver: optional(
    'A delivery that the app did not take is stored, answered with 202, and sent again for at most this long. verify only; never for GET and HEAD.',
    window(),
  ),
  upgrade: key('Allows WebSockets. forward only.', or(list(oneOf(['websocket']), '[websocket] or []'), [])),
  allowHeaders: key(
    'Headers that this route allows although the gate would refuse them, or forwardedHeaders: overwrite remove them. Never SCRIPT_NAME, PATH_INFO, a hop-by-hop header, or a look-alike of the signature header, Host, Content-Length or Content-Type.',
    or(list(matching("a header's name", /^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,256}$/), "a list of headers' names"), []),
  ),
  responseTimeout: optional('The default is upstream.responseTimeout. forward only.', responseTimeout()),
  idleTimeout: optional('The default is upstream.idleTimeout. forward only.', idleTimeout()),
});

/** The whole file. Sections and lists may be empty, as they are when a user comments out everything below them. */
export const configSchema = section({
  listen: key('The listener for clients.', or(listen, {})),
  admin: key('Metrics, probes and the status page.', or(admin, {})),
  upstream: key('The app behind the proxy.', or(upstream, {})),
  secrets: key(
    'Where secrets come from. All are live at once, which makes rotation possible.',
    or(list(secret, 'a list of secrets, each with file, env or directory'), []),
  ),
  routes: key('What happens to requests, by path.', or(list(routeSchema, 'a list of routes, each with a path'), [])),
  unmatched: key(
    'Every other path: verify (POST alone), forward (warned about at start) or reject (404).',
    or(oneOf(ACTIONS), 'verify'),
  ),
  limits: key('Limits of size, time and number.', or(limits, {})),
  shutdown: key('How the proxy stops.', or(shutdown, {})),
  once: key('The store for routes that have once.', or(once, {})),
  redelivery: key('The store for routes that have redeliver.', or(redelivery, {})),
  log: key('The log, on standard output.', or(log, {})),
});
