// The route tables that protect real servers, and the targets that are sent to each: the spellings of one data file, as
// they are or joined to a folder that they climb out of. Data: it must never be derived from the proxy's code.
import { SPELLINGS } from '../testdata/spellings.ts';
import type { Handler, Hit } from './real-server.ts';

export interface Shot {
  readonly target: string;
  /** The row of the data file that it came from. */
  readonly spelling: string;
}

export interface Table {
  readonly name: string;
  readonly routes: readonly object[];
  readonly shots: readonly Shot[];
  /** True if the request is correctly signed and must still be refused. */
  readonly signed: boolean;
  /** Handlers that the routes protect: no unsigned request may reach them, whatever `unmatched` says. */
  readonly guards: readonly Handler[];
  /** Handlers that the routes leave open. `unmatched` decides about the others. */
  readonly opens: readonly Handler[];
  /** A handler that no request may reach, signed or not. */
  readonly rejects: Handler | null;
  /** An exact path that is open whatever `unmatched` says, with the same response from each server. */
  readonly open: string | null;
}

export type Unmatched = 'verify' | 'forward' | 'reject';

/** True for a hit that must not happen. */
export function isForbidden(table: Table, unmatched: Unmatched, hit: Hit & { readonly isSigned: boolean }): boolean {
  const { guards, opens, rejects } = table;
  if (hit.handler === rejects) return true;
  if (hit.isSigned || opens.includes(hit.handler)) return false;
  return guards.includes(hit.handler) || unmatched !== 'forward';
}

const PLAIN: readonly Shot[] = SPELLINGS.map(({ target }) => ({ target, spelling: target }));
const ROOTED = SPELLINGS.map(({ target }) => target).filter((target) => target.startsWith('/'));

/** Each spelling below a folder, or after a climb out of it. */
const after = (...prefixes: readonly string[]): Shot[] =>
  ROOTED.flatMap((spelling) => prefixes.map((prefix) => ({ target: prefix + spelling, spelling })));

/** `/notify` becomes `/webhooks/notify` wherever it is written out. */
const below = ROOTED.filter((spelling) => spelling.includes('/notify')).map((spelling) => ({
  target: spelling.replace('/notify', '/webhooks/notify'),
  spelling,
}));

/** The same for a handler that is left to `unmatched`. */
const unnamed = ROOTED.filter((spelling) => spelling.includes('notify')).map((spelling) => ({
  target: spelling.replace('notify', 'internal'),
  spelling,
}));

const NOTHING_ELSE = { signed: false, opens: [], rejects: null, open: null } as const;

export const TABLES: readonly Table[] = [
  {
    ...NOTHING_ELSE,
    name: 'one exact route',
    routes: [{ path: '/notify' }],
    shots: [...PLAIN, ...below],
    guards: ['notify'],
  },
  {
    ...NOTHING_ELSE,
    name: 'a wildcard',
    routes: [{ path: '/webhooks/*' }],
    shots: [...below, ...after('/webhooks', '/Webhooks', '/webhook%73', '/x/../webhooks')],
    guards: ['webhooks'],
  },
  {
    ...NOTHING_ELSE,
    name: 'two routes of different mode',
    routes: [{ path: '/notify' }, { path: '/webhooks/*', mode: 'report', methods: ['GET', 'POST'] }],
    shots: [...PLAIN, ...after('/webhooks/..', '/webhooks/..;', '/webhooks%2f..', '/webhooks/%2e%2e')],
    guards: ['notify'],
    opens: ['webhooks'],
  },
  {
    ...NOTHING_ELSE,
    name: 'a reject route',
    routes: [{ path: '/notify', action: 'reject' }, { path: '/webhooks/*' }],
    shots: [...PLAIN, ...after('/webhooks/..')],
    signed: true,
    guards: ['webhooks'],
    rejects: 'notify',
  },
  {
    ...NOTHING_ELSE,
    name: 'a forward wildcard beside an exact route',
    routes: [{ path: '/notify' }, { path: '/open/*', action: 'forward' }, { path: '/health', action: 'forward' }],
    shots: [
      ...PLAIN,
      ...after('/open/..', '/open/x/..%2f..', '/open/..;', '/open/%2e%2e', '/health/..'),
      ...unnamed.flatMap(({ target, spelling }) =>
        ['', '/open/..', '/open/x/..%2f..', '/open/..;', '/open/%2e%2e'].map((climb) => ({
          target: climb + target,
          spelling,
        })),
      ),
    ],
    guards: ['notify'],
    open: '/open/shop/cart',
  },
];

/** Targets that must keep working on an open proxy and arrive as sent. */
export const LEGITIMATE: readonly string[] = [
  ...['/shop/cart;jsessionid=1', '/files/a%2Fb', '/a//b', '/app/users/', '/?q={a|b}', '/?p=100%'],
  ...['/search?q={a|b}&p=100%&r="<x>"', '/%C3%A9', "/a,b:c@d!$&'()*+="],
];

/** Headers that tell some servers another path than the target's. */
interface Detour {
  readonly target: string;
  readonly line: string;
  /** A server of this list that follows the header when requested directly. */
  readonly follower: string | null;
}

export const DETOURS: readonly Detour[] = [
  { target: '/x/notify', line: 'SCRIPT_NAME: /x', follower: 'Flask under gunicorn' },
  { target: '/x/notify', line: 'Script_Name: /x', follower: 'Flask under gunicorn' },
  { target: '/x/notify', line: 'SCRIPT-NAME: /x', follower: null },
  { target: '/x', line: 'PATH_INFO: /notify', follower: null },
  { target: '/x/notify', line: 'X-Script-Name: /x', follower: 'wsgiref' },
  { target: '/x/notify', line: 'X_Script_Name: /x', follower: 'wsgiref' },
  { target: '/x/notify', line: 'X-Script_Name: /x', follower: 'wsgiref' },
  { target: '/x', line: 'X-Original-URL: /notify', follower: 'a home-made node server' },
  { target: '/x', line: 'X-Rewrite-URL: /notify', follower: 'a home-made node server' },
  { target: '/x', line: 'X-Forwarded-Prefix: /notify', follower: null },
];
