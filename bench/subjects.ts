// The subjects: our proxy, its peers, the floor and the bare server, each as a program to start. A new peer is a row
// here and its files in peers/.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { IMAGE_ENV, IMAGE_FLAGS } from '../test/support/proxy/image-env.ts';
import type { Program } from './harness/launch.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const PEERS = fileURLToPath(new URL('peers/', import.meta.url));

/** A subject's place in the run. */
export interface Site {
  /** A directory of its own, initially empty. */
  readonly directory: string;
  readonly port: number;
  readonly upstreamPort: number;
  /** All live secrets; the last one signs. */
  readonly secrets: readonly string[];
  /** Bytes of a body, and how many bodies may be in flight. */
  readonly size: number;
  readonly connections: number;
  /** Where it remembers deliveries: `memory` or the URL of a Redis started for it; absent if it does not. */
  readonly store?: string;
}

export interface Subject {
  /** As in the tables and after `--only`. */
  readonly name: string;
  readonly what: string;
  /** How many secrets are live. */
  readonly secrets: number;
  /** Whether it must refuse unsigned requests. */
  readonly verifies: boolean;
  /** Whether its responses come from the upstream. */
  readonly forwards: boolean;
  /** Delivers once: the same body a second time is answered by the subject itself. */
  readonly once?: 'memory' | 'redis';
  /** Null: the load goes to the upstream directly. */
  program(site: Site): Program | null;
}

const PROXY = { secrets: 1, verifies: true, forwards: true } as const;

export interface OursOptions {
  readonly name?: string;
  readonly main?: string;
  readonly routes?: number;
  readonly secrets?: number;
  readonly once?: 'memory' | 'redis';
}

/** Our proxy with one verified route, or the given number; the last one takes the load. */
export function ours(options: OursOptions = {}): Subject {
  const { name = 'ours', main = 'dist/main.js', routes = 1, secrets = 1, once } = options;
  return {
    ...PROXY,
    name,
    what: `this proxy, \`${main}\``,
    secrets,
    ...(once === undefined ? {} : { once }),
    program(site) {
      const config = join(site.directory, 'config.yaml');
      const keys = join(site.directory, 'secrets');
      mkdirSync(keys);
      for (const [index, secret] of site.secrets.entries()) writeFileSync(join(keys, `s${index}`), secret);
      writeFileSync(config, JSON.stringify(configOf(site, { keys, routes })));
      // As the image starts it.
      const args = [...IMAGE_FLAGS, resolve(ROOT, main), 'serve', '--config', config];
      return { command: process.execPath, args, env: IMAGE_ENV };
    },
  };
}

// JSON is YAML. Defaults, except the addresses, an immediate stop, and the byte budget if the load needs more than 64 MiB.
function configOf(site: Site, { keys, routes }: { keys: string; routes: number }): object {
  const others = Array.from({ length: Math.max(0, routes - 2) }, (_, index) => ({
    path: `/hooks/number-${index}/events`,
  }));
  const held = 2 * site.size * site.connections;
  return {
    listen: { host: '127.0.0.1', port: site.port },
    admin: { host: '127.0.0.1', port: 0 },
    upstream: { url: `http://127.0.0.1:${site.upstreamPort}` },
    secrets: [{ directory: keys }],
    routes: [
      ...others,
      { path: '/open', action: 'forward' },
      { path: '/notify', ...(site.store === undefined ? {} : { once: '24h' }) },
    ],
    ...(site.store === undefined ? {} : { once: { store: site.store } }),
    shutdown: { delay: '0s' },
    ...(held > 64 * 2 ** 20 ? { limits: { bufferedBytes: held } } : {}),
  };
}

function nodePeer(name: string, what: string, args: readonly string[], traits: Partial<Subject> = {}): Subject {
  return {
    ...PROXY,
    ...traits,
    name,
    what,
    program({ port, upstreamPort, secrets }) {
      const env = { PORT: String(port), UPSTREAM: `http://127.0.0.1:${upstreamPort}`, SECRET: secrets[0] ?? '' };
      return { command: process.execPath, args: [`${PEERS}${args[0]}`, ...args.slice(1)], env };
    },
  };
}

/** A program that reads one configuration file, made from a template in peers/. */
function configured(
  name: string,
  what: string,
  { template, command }: { template: string; command: string[] },
): Subject {
  const [executable = '', ...flags] = command;
  return {
    ...PROXY,
    name,
    what,
    program: (site) => ({ command: executable, args: [...flags, fill(template, site)] }),
  };
}

/** Writes a copy of a template with its `@NAMES@` filled in; returns its path. */
export function fill(template: string, site: Site): string {
  const [secret = ''] = site.secrets;
  const values: Record<string, string | number> = {
    DIR: site.directory,
    PEERS,
    PORT: site.port,
    UPSTREAM_PORT: site.upstreamPort,
    SECRET: secret,
    SECRET_BASE64: Buffer.from(secret).toString('base64'),
    BUFFER: Math.max(16_384, site.size + 8192),
  };
  const text = readFileSync(join(PEERS, template), 'utf8');
  const file = join(site.directory, template);
  writeFileSync(
    file,
    text.replaceAll(/@([A-Z_0-9]+)@/g, (_, name: string) => String(values[name])),
  );
  return file;
}

export const OURS = ours();
export const ONCE_IN_MEMORY = ours({ name: 'ours-once-memory', once: 'memory' });
export const ONCE_IN_REDIS = ours({ name: 'ours-once-redis', once: 'redis' });
export const UNBUILT = ours({ name: 'ours-unbuilt', main: 'src/main.ts' });
export const FLOOR = nodePeer('floor', 'bare node:http + undici with a naive check, nothing else', ['floor.js']);
export const HTTP_PROXY_3 = nodePeer('http-proxy-3', 'the check written around it', ['http-proxy-3.js']);
export const FASTIFY = nodePeer('fastify-http-proxy', '@fastify/http-proxy, the check in a hook', [
  'fastify-http-proxy.js',
]);
export const HAPROXY = configured('haproxy', 'HAProxy with its `hmac` converter', {
  template: 'haproxy.cfg',
  command: ['haproxy', '-db', '-f'],
});
export const NO_PROXY: Subject = {
  ...PROXY,
  name: 'no-proxy',
  what: 'the load at the upstream itself',
  verifies: false,
  program: () => null,
};

export const NGINX_NJS = configured('nginx-njs', 'nginx with njs, `js_content`', {
  template: 'nginx-njs.conf',
  command: ['nginx', '-c'],
});

/** The peers measured beside ours at every size and number of connections. */
export const PEERS_OF_OURS: readonly Subject[] = [
  FLOOR,
  HAPROXY,
  NGINX_NJS,
  configured('nginx-lua', 'nginx with Lua, `access_by_lua`', { template: 'nginx-lua.conf', command: ['nginx', '-c'] }),
  HTTP_PROXY_3,
  FASTIFY,
  NO_PROXY,
];

export const BARE_SERVER = nodePeer('bare-server', 'bare node:http that answers by itself', ['bare-server.js'], {
  verifies: false,
  forwards: false,
});
export const BARE_PROXYING = nodePeer('bare-proxying', 'the floor without the check', ['unverified.js', 'whole'], {
  verifies: false,
});
export const BARE_STREAMING = nodePeer('bare-streaming', 'bare-proxying, streamed', ['unverified.js', 'stream'], {
  verifies: false,
});
