// `healthcheck`: asks the running proxy whether it is ready, for a container HEALTHCHECK with no shell. It shares the
// container's memory with the proxy, so it must load no part of the proxy: only node:http.
import { ADMIN_PORT } from '../base/default-places.ts';
import { CONFIG_OPTION, command } from './command.ts';
import { adminUrl, ask } from './running-proxy.ts';

export const definition = {
  name: 'healthcheck',
  usage: '[--config FILE]',
  about: `
Asks the proxy on this host or in this container, through its admin port, whether it is ready. Waits at
most 2 s. The address is that of $ADMIN_HOST and $ADMIN_PORT, else of the configuration, else port ${ADMIN_PORT}.`,
  options: CONFIG_OPTION,
  exits: { 0: 'ready', 1: 'not ready, or no answer' },
} as const;

const TIMEOUT = 2_000;

export const run = command(definition, async ({ values }, io) => {
  const url = await adminUrl('/readyz', values.config, io);
  const { status, text } = await ask({ url, timeout: TIMEOUT });
  if (status === 200) return 0;
  io.stdout(status === null ? `no answer from ${url.href}: ${text}\n` : `not ready: ${status} ${text}\n`);
  return 1;
});
