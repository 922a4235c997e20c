// `healthcheck`: asks the running proxy whether it is ready, for a container HEALTHCHECK with no shell. It shares the
// container's memory with the proxy, so it must never load a part of it: only node:http, and the YAML reader if a
// configuration file mentions `admin`.
import { readFile } from 'node:fs/promises';
import { fileProblem } from '../base/errors.ts';
import { localUrl } from '../base/local-url.ts';
import { ask } from './ask.ts';
import { command, type Io } from './command-line.ts';
import { CONFIG_OPTION } from './definition.ts';

export const definition = {
  name: 'healthcheck',
  usage: '[--config FILE]',
  about: `
Asks the proxy on this host or in this container, through its admin port, whether it is ready. Waits at
most 2 s. The port is $ADMIN_PORT, else that of the configuration, else 9464.`,
  options: CONFIG_OPTION,
  positionals: [],
  exits: [
    ['0', 'ready'],
    ['1', 'not ready, or no answer'],
    ['2', 'the command line cannot be used'],
  ],
} as const;

const DEFAULT_FILE = '/etc/entrupy-signature-proxy/config.yaml';
const DEFAULT_PORT = 9464;
const TIMEOUT = 2_000;

export const run = command(definition, async ({ values }, io) => {
  const { host, port } = await adminOf(values.config ?? (io.env.ENTRUPY_PROXY_CONFIG || undefined), io);
  const url = localUrl(host, portNumber(io.env.ADMIN_PORT) ?? portNumber(port) ?? DEFAULT_PORT);
  url.pathname = '/readyz';
  const { status, text } = await ask({ url, timeout: TIMEOUT });
  if (status === 200) return 0;
  io.stdout(status === null ? `no answer from ${url.href}: ${text}\n` : `not ready: ${status} ${text}\n`);
  return 1;
});

/** The address in the file. A running proxy stays healthy if its file breaks or goes, so anything readable counts. */
async function adminOf(named: string | undefined, io: Io): Promise<{ host?: unknown; port?: unknown }> {
  try {
    const text = await readFile(named ?? DEFAULT_FILE, 'utf8');
    if (!text.includes('admin')) return {};
    const { looseValue } = await import('../config/yaml.ts');
    return { host: looseValue(text, ['admin', 'host']), port: looseValue(text, ['admin', 'port']) };
  } catch (error) {
    if (named !== undefined) io.stderr(`warning: cannot use ${named}: ${fileProblem(error)}\n`);
    return {};
  }
}

/** Null if it is not a port, such as Kubernetes' service link `tcp://…`. */
function portNumber(value: unknown): number | null {
  const text = String(value);
  return /^[0-9]{1,5}$/.test(text) && Number(text) > 0 && Number(text) < 65536 ? Number(text) : null;
}
