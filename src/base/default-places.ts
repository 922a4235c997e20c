// The program's version and where its parts are by default: docs, configuration, what must outlive the process, and the
// URL by which a program on this host, or in this container, reaches a listener. The build inlines package.json.
import { isIP } from 'node:net';
import manifest from '../../package.json' with { type: 'json' };

export const VERSION: string = manifest.version;

const url = (manifest as { readonly repository?: { readonly url?: string } }).repository?.url;

/** The address of docs/, without a trailing slash; null until package.json has a `repository` with a `url`. */
export const DOCS = url === undefined ? null : `${url.replace(/^git\+|\.git$/g, '')}/blob/main/docs`;

export const CONFIG_FILE = '/etc/entrupy-signature-proxy/config.yaml';
export const STATE_DIRECTORY = '/var/lib/entrupy-signature-proxy';
export const ADMIN_PORT = 9464;

/** The configuration file that the user named with `--config` or in the environment; null if the user named none. */
export function namedConfig(option: string | null | undefined, env: NodeJS.ProcessEnv): string | null {
  return option ?? (env.ENTRUPY_PROXY_CONFIG || null);
}

/** True if `redelivery.store` is the absolute path of a directory; else it is a URL. */
export const isDirectory = (store: string) => store.startsWith('/');

/** The URL of a listener: `http://127.0.0.1:9464/` if it listens on all interfaces, else one with its own address. */
export function localUrl(host: unknown, port: number): URL {
  const url = new URL('http://127.0.0.1/');
  const isOwn = typeof host === 'string' && !/^(?:|0\.0\.0\.0|[0:]+)$/.test(host);
  if (isOwn) url.hostname = isIP(host) === 6 ? `[${host}]` : host;
  url.port = String(port);
  return url;
}
