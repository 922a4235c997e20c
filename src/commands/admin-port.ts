// Where the running proxy's admin port is, from the outside: for commands that ask it. They share the container's memory
// with the proxy, so this must never load a part of it: only the YAML reader, if a configuration file mentions `admin`.
import { readFile } from 'node:fs/promises';
import { CONFIG_FILE } from '../base/default-paths.ts';
import { fileProblem } from '../base/errors.ts';
import { localUrl } from '../base/local-url.ts';
import type { Env } from '../config/environment.ts';

const DEFAULT_PORT = 9464;

/** The file that the user named, with `--config` or in the environment; null for the usual places. */
export function namedConfig(option: string | undefined, env: Env): string | null {
  return option ?? (env.ENTRUPY_PROXY_CONFIG || null);
}

/** The port is $ADMIN_PORT, else that of the configuration, else 9464. `problem`: why a file that was named is not read. */
export async function adminPort(named: string | null, env: Env): Promise<{ url: URL; problem: string | null }> {
  const { host, port, problem = null } = await adminOf(named);
  return { url: localUrl(host, portNumber(env.ADMIN_PORT) ?? portNumber(port) ?? DEFAULT_PORT), problem };
}

/** The address in the file. A running proxy keeps its address if its file breaks or goes, so anything readable counts. */
async function adminOf(named: string | null): Promise<{ host?: unknown; port?: unknown; problem?: string }> {
  try {
    const text = await readFile(named ?? CONFIG_FILE, 'utf8');
    if (!text.includes('admin')) return {};
    const { looseValue } = await import('../config/yaml.ts');
    return { host: looseValue(text, ['admin', 'host']), port: looseValue(text, ['admin', 'port']) };
  } catch (error) {
    return named === null ? {} : { problem: `cannot use ${named}: ${fileProblem(error)}` };
  }
}

/** Null if it is not a port, such as Kubernetes' service link `tcp://…`. */
function portNumber(value: unknown): number | null {
  const text = String(value);
  return /^[0-9]{1,5}$/.test(text) && Number(text) > 0 && Number(text) < 65536 ? Number(text) : null;
}
