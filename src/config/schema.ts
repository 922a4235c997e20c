// The keys of the configuration file and their defaults: the one source for parsing, errors, types and
// config.schema.json. docs/configuration.md says what each means. Rules about several keys are in cross-key-rules.ts. No
// key takes a secret's value.
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
  host: or(host(), '::'),
  port: or(port(), 8080),
  keepAlive: or(duration('1s', '1h'), '75s'),
  trustedProxies: or(networks(), []),
  tls: optional(
    section({
      certFile: filePath(),
      keyFile: filePath(),
      clientCaFile: optional(filePath()),
    }),
  ),
});

const admin = section({
  host: or(host(), '::'),
  port: or(port(), ADMIN_PORT),
  readyNeedsUpstream: or(flag(), false),
  actionsFrom: or(networks(), []),
});

/** Milliseconds for `retryConnectFor` if it is not set: fewer for a delivery that can be stored. */
export const RETRY_CONNECT_MS = { plain: 5000, deferrable: 1000 };

const upstream = section({
  url: or(upstreamUrl(), 'http://127.0.0.1:3000'),
  connections: or(integer(1, 10_000), 128),
  connectTimeout: or(duration('10ms', '1m'), '2s'),
  retryConnectFor: optional(duration('10ms', '5m', 0)),
  responseTimeout: or(responseTimeout(), '30s'),
  idleTimeout: or(idleTimeout(), '30s'),
  keepAlive: or(duration('1ms', '10m', 0), '1s'),
  forwardedHeaders: or(oneOf(['none', 'overwrite']), 'none'),
  checkExposure: or(flag(), false),
  tls: optional(
    section({
      caFile: optional(filePath()),
      certFile: optional(filePath()),
      keyFile: optional(filePath()),
      serverName: optional(hostName()),
    }),
  ),
});

const limits = section({
  maxBody: or(bodySize(), '1MiB'),
  bufferedBytes: or(size('1KiB', '16GiB', 'auto'), 'auto'),
  maxHeader: or(size('1KiB', '256KiB'), '16KiB'),
  headersTimeout: or(duration('10ms', '5m'), '10s'),
  bodyTimeout: or(duration('10ms', '1h'), '30s'),
  connections: or(integer(1, 100_000), 1024),
  connectionAge: or(duration('1s', '168h'), '1h'),
});

const shutdown = section({
  delay: or(duration('1ms', '10m', 0), '5s'),
  grace: or(duration('1ms', '1h', 0), '20s'),
});

const once = section({
  store: or(storeUrl(), 'memory'),
  name: or(appName(), ''),
  passwordFile: optional(filePath()),
  onStoreFailure: or(oneOf(['forward', 'refuse']), 'forward'),
  maxEntries: or(integer(1, 10_000_000), 100_000),
});

const redelivery = section({
  store: or(deferredStore(), STATE_DIRECTORY),
  passwordFile: optional(filePath()),
  name: or(appName(), ''),
  maxBytes: or(size('4KiB', '16GiB'), '256MiB'),
  keep: or(duration('1ms', '720h', 0), '168h'),
});

export const LOG_FORMATS = ['auto', 'json', 'text'] as const;

const log = section({
  format: or(oneOf(LOG_FORMATS), 'auto'),
  level: or(oneOf(['debug', 'info', 'warn', 'error']), 'info'),
  requests: or(oneOf(['all', 'rejected', 'none']), 'rejected'),
});

/** The longest window of `once`, `redeliver` and `overlap`: thirty days. */
const window = () => duration('1ms', '720h');

const secretId = () => matching('a name of letters, digits, ".", "_" and "-"', /^[A-Za-z0-9._-]{1,253}$/);

const secret = section({
  id: optional(secretId()),
  file: optional(filePath()),
  env: optional(matching("a variable's name, never a value", /^[A-Za-z_][A-Za-z0-9_]{0,253}$/)),
  directory: optional(filePath("a directory's path")),
  overlap: optional(window()),
  notBefore: optional(date()),
  notAfter: optional(date()),
  allowShort: or(flag(), false),
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
  path: matching('a path such as /notify or /webhooks/*', /^\//),
  action: or(oneOf(ACTIONS), 'verify'),
  methods: optional(list(oneOf(METHODS, 'an HTTP method such as GET or POST'), 'a list of methods, one at least', 1)),
  secrets: optional(list(secretId(), 'a list of ids, one at least', 1)),
  mode: or(oneOf(['enforce', 'report']), 'enforce'),
  reportUntil: optional(date()),
  maxBody: optional(bodySize()),
  query: or(oneOf(['forward', 'refuse']), 'forward'),
  once: optional(window()),
  redeliver: optional(window()),
  upgrade: or(list(oneOf(['websocket']), '[websocket] or []'), []),
  allowHeaders: or(
    list(matching("a header's name", /^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,256}$/), "a list of headers' names"),
    [],
  ),
  responseTimeout: optional(responseTimeout()),
  idleTimeout: optional(idleTimeout()),
});

/** The whole file. Sections and lists may be empty, as they are when a user comments out everything below them. */
export const configSchema = section({
  listen: or(listen, {}),
  admin: or(admin, {}),
  upstream: or(upstream, {}),
  secrets: or(list(secret, 'a list of secrets, each with file, env or directory'), []),
  routes: or(list(routeSchema, 'a list of routes, each with a path'), []),
  unmatched: or(oneOf(ACTIONS), 'verify'),
  limits: or(limits, {}),
  shutdown: or(shutdown, {}),
  once: or(once, {}),
  redelivery: or(redelivery, {}),
  log: or(log, {}),
});
