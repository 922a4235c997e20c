// The keys of the configuration file and their defaults: the one source for parsing, errors, types and
// config.schema.json. Rules about several keys are in cross-key-rules.ts. No key takes a secret's value.
import { ADMIN_PORT, STATE_DIRECTORY } from '../base/default-places.ts';
import * as v from './value-kinds.ts';

const bodySize = () => v.size('1', '64MiB');
const responseTimeout = () => v.duration('10ms', '1h');
const idleTimeout = () => v.duration('10ms', '24h', 0);
const port = () => v.integer(0, 65_535);
const networks = () => v.list(v.cidr(), 'a list of networks');
const appName = () => v.matching('a name of letters, digits, ".", "_" and "-", or nothing', /^[A-Za-z0-9._-]{0,253}$/);

const listen = v.section({
  host: v.or(v.host(), '::'),
  port: v.or(port(), 8080),
  keepAlive: v.or(v.duration('1s', '1h'), '75s'),
  trustedProxies: v.or(networks(), []),
  tls: v.optional(
    v.section({
      certFile: v.filePath(),
      keyFile: v.filePath(),
      clientCaFile: v.optional(v.filePath()),
    }),
  ),
});

const admin = v.section({
  host: v.or(v.host(), '::'),
  port: v.or(port(), ADMIN_PORT),
  readyNeedsUpstream: v.or(v.flag(), false),
  actionsFrom: v.or(networks(), []),
});

/** Milliseconds for `retryConnectFor` if it is not set: fewer for a delivery that can be stored. */
export const RETRY_CONNECT_MS = { plain: 5000, deferrable: 1000 };

const upstream = v.section({
  url: v.or(v.upstreamUrl(), 'http://127.0.0.1:3000'),
  connections: v.or(v.integer(1, 10_000), 128),
  connectTimeout: v.or(v.duration('10ms', '1m'), '2s'),
  retryConnectFor: v.optional(v.duration('10ms', '5m', 0)),
  responseTimeout: v.or(responseTimeout(), '30s'),
  idleTimeout: v.or(idleTimeout(), '30s'),
  keepAlive: v.or(v.duration('1ms', '10m', 0), '1s'),
  forwardedHeaders: v.or(v.oneOf(['none', 'overwrite']), 'none'),
  checkExposure: v.or(v.flag(), false),
  tls: v.optional(
    v.section({
      caFile: v.optional(v.filePath()),
      certFile: v.optional(v.filePath()),
      keyFile: v.optional(v.filePath()),
      serverName: v.optional(v.hostName()),
    }),
  ),
});

const limits = v.section({
  maxBody: v.or(bodySize(), '1MiB'),
  bufferedBytes: v.or(v.size('1KiB', '16GiB', 'auto'), 'auto'),
  maxHeader: v.or(v.size('1KiB', '256KiB'), '16KiB'),
  headersTimeout: v.or(v.duration('10ms', '5m'), '10s'),
  bodyTimeout: v.or(v.duration('10ms', '1h'), '30s'),
  connections: v.or(v.integer(1, 100_000), 1024),
  connectionAge: v.or(v.duration('1s', '168h'), '1h'),
});

const shutdown = v.section({
  delay: v.or(v.duration('1ms', '10m', 0), '5s'),
  grace: v.or(v.duration('1ms', '1h', 0), '20s'),
});

const once = v.section({
  store: v.or(v.storeUrl(), 'memory'),
  name: v.or(appName(), ''),
  passwordFile: v.optional(v.filePath()),
  onStoreFailure: v.or(v.oneOf(['forward', 'refuse']), 'forward'),
  maxEntries: v.or(v.integer(1, 10_000_000), 100_000),
});

const redelivery = v.section({
  store: v.or(v.deferredStore(), STATE_DIRECTORY),
  passwordFile: v.optional(v.filePath()),
  name: v.or(appName(), ''),
  maxBytes: v.or(v.size('4KiB', '16GiB'), '256MiB'),
  keep: v.or(v.duration('1ms', '720h', 0), '168h'),
});

export const LOG_FORMATS = ['auto', 'json', 'text'] as const;

const log = v.section({
  format: v.or(v.oneOf(LOG_FORMATS), 'auto'),
  level: v.or(v.oneOf(['debug', 'info', 'warn', 'error']), 'info'),
  requests: v.or(v.oneOf(['all', 'rejected', 'none']), 'rejected'),
});

/** The longest window of `once`, `redeliver` and `overlap`: thirty days. */
const window = () => v.duration('1ms', '720h');

const secretId = () => v.matching('a name of letters, digits, ".", "_" and "-"', /^[A-Za-z0-9._-]{1,253}$/);

const secret = v.section({
  id: v.optional(secretId()),
  file: v.optional(v.filePath()),
  env: v.optional(v.matching("a variable's name, never a value", /^[A-Za-z_][A-Za-z0-9_]{0,253}$/)),
  directory: v.optional(v.filePath("a directory's path")),
  overlap: v.optional(window()),
  notBefore: v.optional(v.date()),
  notAfter: v.optional(v.date()),
  allowShort: v.or(v.flag(), false),
});

const ACTIONS = ['verify', 'forward', 'reject'] as const;

/** The parser's methods except CONNECT, in Node's order. Loading node:http for this list took 6 ms and 0.5 MB. */
export const METHODS = [
  ...(['ACL', 'BIND', 'CHECKOUT', 'COPY', 'DELETE', 'GET', 'HEAD', 'LINK', 'LOCK', 'M-SEARCH'] as const),
  ...(['MERGE', 'MKACTIVITY', 'MKCALENDAR', 'MKCOL', 'MOVE', 'NOTIFY', 'OPTIONS', 'PATCH', 'POST'] as const),
  ...(['PROPFIND', 'PROPPATCH', 'PURGE', 'PUT', 'QUERY', 'REBIND', 'REPORT', 'SEARCH', 'SOURCE'] as const),
  ...(['SUBSCRIBE', 'TRACE', 'UNBIND', 'UNLINK', 'UNLOCK', 'UNSUBSCRIBE'] as const),
];

export const routeSchema = v.section({
  path: v.matching('a path such as /notify or /webhooks/*', /^\//),
  action: v.or(v.oneOf(ACTIONS), 'verify'),
  methods: v.optional(
    v.list(v.oneOf(METHODS, 'an HTTP method such as GET or POST'), 'a list of methods, one at least', 1),
  ),
  secrets: v.optional(v.list(secretId(), 'a list of ids, one at least', 1)),
  mode: v.or(v.oneOf(['enforce', 'report']), 'enforce'),
  reportUntil: v.optional(v.date()),
  maxBody: v.optional(bodySize()),
  query: v.or(v.oneOf(['forward', 'refuse']), 'forward'),
  once: v.optional(window()),
  redeliver: v.optional(window()),
  upgrade: v.or(v.list(v.oneOf(['websocket']), '[websocket] or []'), []),
  allowHeaders: v.or(
    v.list(v.matching("a header's name", /^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,256}$/), "a list of headers' names"),
    [],
  ),
  responseTimeout: v.optional(responseTimeout()),
  idleTimeout: v.optional(idleTimeout()),
});

/** The whole file. Sections and lists may be empty, as they are when a user comments out everything below them. */
export const configSchema = v.section({
  listen: v.or(listen, {}),
  admin: v.or(admin, {}),
  upstream: v.or(upstream, {}),
  secrets: v.or(v.list(secret, 'a list of secrets, each with file, env or directory'), []),
  routes: v.or(v.list(routeSchema, 'a list of routes, each with a path'), []),
  unmatched: v.or(v.oneOf(ACTIONS), 'verify'),
  limits: v.or(limits, {}),
  shutdown: v.or(shutdown, {}),
  once: v.or(once, {}),
  redelivery: v.or(redelivery, {}),
  log: v.or(log, {}),
});
