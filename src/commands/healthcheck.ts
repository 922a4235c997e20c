// `healthcheck`: asks the running proxy whether it is ready, for a container HEALTHCHECK with no shell. It shares the
// container's memory with the proxy, so it must load no part of the proxy: only node:http.
import { command } from './command.ts';
import { adminUrl, ask } from './running-proxy.ts';

const TIMEOUT = 2_000;

export const run = command('healthcheck', async ({ values }, io) => {
  const url = await adminUrl('/readyz', values.config, io);
  const { status, text } = await ask({ url, timeout: TIMEOUT });
  if (status === 200) return 0;
  io.stdout(status === null ? `no answer from ${url.href}: ${text}\n` : `not ready: ${status} ${text}\n`);
  return 1;
});
