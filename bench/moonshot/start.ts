// Puts a prototype together. `way` is the road to the upstream; all else is one.
import type { Keyring } from '../../src/core/keyring.ts';
import { type Route, RouteTable } from '../../src/core/routes.ts';
import type { Limits } from './connection.ts';
import { Gatekeeper } from './gatekeeper.ts';
import { RawUpstream } from './raw-upstream.ts';
import { type Listening, listen } from './server.ts';
import { UndiciUpstream } from './undici-upstream.ts';

export interface Prototype {
  readonly way: 'undici' | 'raw';
  readonly port: number;
  /** `http://host:port` */
  readonly upstream: string;
  readonly routes: readonly Route[];
  readonly unmatched: Route;
  readonly keyring: Keyring;
  readonly limits?: Partial<Limits>;
}

const CONNECTIONS = 128;
/** The product's defaults; times in milliseconds. */
const LIMITS: Limits = {
  maxHeader: 16 * 1024,
  maxHeaders: 100,
  keepAlive: 75_000,
  headersTimeout: 10_000,
  bodyTimeout: 30_000,
};

export async function start(prototype: Prototype): Promise<Listening> {
  const clock = { now: 0 };
  const { hostname: host, port } = new URL(prototype.upstream);
  const raw = { host, port: Number(port), connections: CONNECTIONS, keepAlive: 1000, responseTimeout: 30_000, clock };
  const upstream = prototype.way === 'raw' ? new RawUpstream(raw) : new UndiciUpstream(prototype.upstream, CONNECTIONS);
  const gatekeeper = new Gatekeeper(new RouteTable(prototype.routes, prototype.unmatched), prototype.keyring);
  const limits = { ...LIMITS, ...prototype.limits };
  const listening = await listen({ gatekeeper, upstream, limits, clock }, prototype.port);
  return {
    port: listening.port,
    close: async () => {
      await listening.close();
      await upstream.close();
    },
  };
}
