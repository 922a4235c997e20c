// The schema of the configuration file: the one source of parsing, errors, types, config.schema.json and
// docs/configuration.md. Rules about several keys are in rules.ts. No key takes a secret's value.
import * as z from 'zod/mini';
import {
  cidr,
  date,
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
  section,
  size,
  storeUrl,
  upstreamUrl,
} from './values.ts';

const { METHODS } = process.getBuiltinModule('node:http');

const bodySize = () => size({ min: '1', max: '64MiB' });
const responseTimeout = () => duration({ min: '10ms', max: '1h' });
const idleTimeout = () => duration({ min: '10ms', max: '24h', also: 0 });
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
    z.prefault(list(cidr(), 'a list of networks'), []),
  ),
  tls: key(
    'TLS towards clients; reloaded when the files change.',
    optional(
      section({
        certFile: key('The certificate chain, PEM.', filePath()),
        keyFile: key('Its private key, PEM.', filePath()),
        clientCaFile: key('With it, clients need a certificate that one of these CAs signed.', optional(filePath())),
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
    z.prefault(list(cidr(), 'a list of networks'), []),
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
    z.prefault(duration({ min: '10ms', max: '5m', also: 0 }), '5s'),
  ),
  responseTimeout: key("Until the response's head.", z.prefault(responseTimeout(), '30s')),
  idleTimeout: key("Between two pieces of the response's body; 0 is off.", z.prefault(idleTimeout(), '30s')),
  keepAlive: key(
    "An idle upstream socket is dropped after this: keep it below the app's own. 0 is one request a socket.",
    z.prefault(duration({ min: '1ms', max: '10m', also: 0 }), '1s'),
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
    optional(
      section({
        caFile: key("The CAs to trust instead of the system's, PEM.", optional(filePath())),
        certFile: key('A client certificate, PEM.', optional(filePath())),
        keyFile: key('Its private key, PEM.', optional(filePath())),
        serverName: key(
          "The name to expect: the URL's host by default, never the client's Host.",
          optional(hostName()),
        ),
      }),
    ),
  ),
});

const limits = section({
  maxBody: key('Of verified requests; they are held in memory.', z.prefault(bodySize(), '1MiB')),
  bufferedBytes: key(
    "All verified bodies held at once; auto is the smaller of 64MiB and a quarter of the container's memory.",
    z.prefault(size({ min: '1KiB', max: '16GiB', also: 'auto' }), 'auto'),
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
    z.prefault(duration({ min: '1ms', max: '10m', also: 0 }), '5s'),
  ),
  grace: key(
    'Then in-flight requests may take this long.',
    z.prefault(duration({ min: '1ms', max: '1h', also: 0 }), '20s'),
  ),
});

const once = section({
  store: key(
    'Where delivered events are remembered; only used when a route has once.',
    z.prefault(storeUrl(), 'memory'),
  ),
  passwordFile: key('The password of the Redis or Valkey store.', optional(filePath())),
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

/** The longest window of `once` and `overlap`: thirty days. */
const window = () => duration({ min: '1ms', max: '720h' });

const secretId = () => matching('a name of letters, digits, ".", "_" and "-"', /^[A-Za-z0-9._-]{1,253}$/);

const secret = section({
  id: key('The name of the secret in metrics and logs. Needed with file and env.', optional(secretId())),
  file: key('A file that holds the value; one trailing line break is stripped.', optional(filePath())),
  env: key(
    'A variable that holds the value.',
    optional(matching("a variable's name, never a value", /^[A-Za-z_][A-Za-z0-9_]{0,253}$/)),
  ),
  directory: key(
    'Every regular file in it is a secret, its name the id. Names that begin with a dot are not.',
    optional(filePath("a directory's path")),
  ),
  overlap: key(
    'When the content changes, the one old value stays valid this long, as <id>.previous; in memory, so a restart ends it. With file and directory.',
    optional(window()),
  ),
  notBefore: key('Not valid before.', optional(date())),
  notAfter: key('Not valid after.', optional(date())),
  allowShort: key('Accepts fewer than 16 bytes.', z.prefault(flag(), false)),
});

const ACTIONS = ['verify', 'forward', 'reject'] as const;
const methodNames = METHODS.filter((method) => method !== 'CONNECT');

export const routeSchema = section({
  path: key(
    'Exact, or with /* for all below it; for verify and reject also the path itself, with and without a slash. The longest path wins, whatever the order.',
    matching('a path such as /notify or /webhooks/*', /^\//),
  ),
  action: key('What becomes of a request.', z.prefault(oneOf(ACTIONS), 'verify')),
  methods: key(
    'Others are refused with 405. The default is POST for verify and every method for forward. GET brings HEAD.',
    optional(list(oneOf(methodNames, 'an HTTP method such as GET or POST'), 'a list of methods, one at least', 1)),
  ),
  secrets: key(
    'The ids to verify with, all of them by default; an id means its previous value too. verify only.',
    optional(list(secretId(), 'a list of ids, one at least', 1)),
  ),
  mode: key(
    'report forwards what would have been refused, and counts it. verify only.',
    z.prefault(oneOf(['enforce', 'report']), 'enforce'),
  ),
  reportUntil: key('Then it enforces by itself. With mode report.', optional(date())),
  maxBody: key('The default is limits.maxBody. verify only.', optional(bodySize())),
  query: key(
    'The signature does not cover the query: refuse answers a request that has one with 400. verify only.',
    z.prefault(oneOf(['forward', 'refuse']), 'forward'),
  ),
  once: key(
    'An event already delivered within this time is answered, not forwarded again. Two events with equal bodies are one event here. verify only.',
    optional(window()),
  ),
  upgrade: key(
    'Lets WebSocket upgrades through. forward only.',
    z.prefault(list(oneOf(['websocket']), '[websocket] or []'), []),
  ),
  allowHeaders: key(
    'Lets these past the gate. Never SCRIPT_NAME, PATH_INFO, a look-alike of the signature or a hop-by-hop header.',
    z.prefault(
      list(matching("a header's name", /^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,256}$/), "a list of headers' names"),
      [],
    ),
  ),
  responseTimeout: key('The default is upstream.responseTimeout. forward only.', optional(responseTimeout())),
  idleTimeout: key('The default is upstream.idleTimeout. forward only.', optional(idleTimeout())),
});

/** The whole file. Sections and lists may be empty, as they are when a user comments out everything below them. */
export const configSchema = section({
  listen: key('Where clients come in.', z.prefault(listen, {})),
  admin: key('Metrics, probes and the status page.', z.prefault(admin, {})),
  upstream: key('The app behind the proxy.', z.prefault(upstream, {})),
  secrets: key(
    'Where secrets come from. All of them are live at once; that is what makes rotation possible.',
    z.prefault(list(secret, 'a list of secrets, each with file, env or directory'), []),
  ),
  routes: key('What becomes of which path.', z.prefault(list(routeSchema, 'a list of routes, each with a path'), [])),
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
