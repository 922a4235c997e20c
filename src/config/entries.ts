// What the user may write of one secret and of one route; schema.ts holds the rest.
// It must never hold a rule that needs two keys, nor let a secret's value be written down.
import * as z from 'zod/mini';
import { filePath, flag, key, list, matching, oneOf, section } from './leaves.ts';
import { bodySize, date, duration, idleTimeout, responseTimeout } from './quantities.ts';

const { METHODS } = process.getBuiltinModule('node:http');

/** The longest window of `once` and `overlap`: thirty days. */
const window = () => duration({ min: '1ms', max: '720h' });

const secretId = () => matching('a name of letters, digits, ".", "_" and "-"', /^[A-Za-z0-9._-]{1,253}$/);

export const secretSchema = section({
  id: key('The name of the secret in metrics and logs. Needed with file and env.', z.optional(secretId())),
  file: key('A file that holds the value; one trailing line break is stripped.', z.optional(filePath())),
  env: key(
    'A variable that holds the value.',
    z.optional(matching("a variable's name, never a value", /^[A-Za-z_][A-Za-z0-9_]{0,253}$/)),
  ),
  directory: key(
    'Every regular file in it is a secret, its name the id. Names that begin with a dot are not.',
    z.optional(filePath("a directory's path")),
  ),
  overlap: key(
    'When the content changes, the one old value stays valid this long, as <id>.previous; in memory, so a restart ends it. With file and directory.',
    z.optional(window()),
  ),
  notBefore: key('Not valid before.', z.optional(date())),
  notAfter: key('Not valid after.', z.optional(date())),
  allowShort: key('Accepts fewer than 16 bytes.', z.prefault(flag(), false)),
});

export const ACTIONS = ['verify', 'forward', 'reject'] as const;
const methodNames = METHODS.filter((method) => method !== 'CONNECT');

export const routeSchema = section({
  path: key(
    'Exact, or with /* for all below it; for verify and reject also the path itself, with and without a slash. The longest path wins, whatever the order.',
    matching('a path such as /notify or /webhooks/*', /^\//),
  ),
  action: key('What becomes of a request.', z.prefault(oneOf(ACTIONS), 'verify')),
  methods: key(
    'Others are refused with 405. The default is POST for verify and every method for forward. GET brings HEAD.',
    z.optional(
      list(oneOf(methodNames, 'an HTTP method such as GET or POST'), {
        allowed: 'a list of methods, one at least',
        min: 1,
      }),
    ),
  ),
  secrets: key(
    'The ids to verify with, all of them by default; an id means its previous value too. verify only.',
    z.optional(list(secretId(), { allowed: 'a list of ids, one at least', min: 1 })),
  ),
  mode: key(
    'report forwards what would have been refused, and counts it. verify only.',
    z.prefault(oneOf(['enforce', 'report']), 'enforce'),
  ),
  reportUntil: key('Then it enforces by itself. With mode report.', z.optional(date())),
  maxBody: key('The default is limits.maxBody. verify only.', z.optional(bodySize())),
  query: key(
    'The signature does not cover the query: refuse answers a request that has one with 400. verify only.',
    z.prefault(oneOf(['forward', 'refuse']), 'forward'),
  ),
  once: key(
    'An event already delivered within this time is answered, not forwarded again. Two events with equal bodies are one event here. verify only.',
    z.optional(window()),
  ),
  upgrade: key(
    'Lets WebSocket upgrades through. forward only.',
    z.prefault(list(oneOf(['websocket']), { allowed: '[websocket] or []', min: 0 }), []),
  ),
  allowHeaders: key(
    'Lets these past the gate. Never SCRIPT_NAME, PATH_INFO, a look-alike of the signature or a hop-by-hop header.',
    z.prefault(
      list(matching("a header's name", /^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,256}$/), {
        allowed: "a list of headers' names",
        min: 0,
      }),
      [],
    ),
  ),
  responseTimeout: key('The default is upstream.responseTimeout. forward only.', z.optional(responseTimeout())),
  idleTimeout: key('The default is upstream.idleTimeout. forward only.', z.optional(idleTimeout())),
});
