// Connections are open files, which the system limits for each process. At that limit accept() fails, and nobody gets
// in any more, not even a probe, while silent clients stay. So no more connections are taken than the limit has room for.
import { readFileSync } from 'node:fs';
import type { Config } from '../config/config.ts';
import type { LoadedConfig } from '../config/load.ts';

/** Files besides those of clients and of requests: the admin port's clients, upstream sockets at their end, our own. */
const OTHERS = 256;

/** How many files this process may have open; Infinity where /proc does not tell. */
export function mostOpenFiles(): number {
  try {
    const soft = /^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'latin1'))?.[1];
    return Number(soft ?? Number.POSITIVE_INFINITY);
  } catch {
    return Number.POSITIVE_INFINITY;
  }
}

/** Lowers `limits.connections` to what fits, with a warning. */
export function fitOpenFiles(loaded: LoadedConfig, files = mostOpenFiles()): LoadedConfig {
  const { config, file, warnings } = loaded;
  const { connections } = config.limits;
  const fits = connectionsWithin(files, config);
  if (connections <= fits) return loaded;
  const message = `${connections} connections need more files than the ${files} that this process may have open, so it takes ${fits}; raise that limit (ulimit -n, LimitNOFILE=, --ulimit nofile=)`;
  const warning = { file: file ?? 'environment', line: null, column: null, key: 'limits.connections', message };
  const limits = Object.freeze({ ...config.limits, connections: fits });
  return { ...loaded, config: Object.freeze({ ...config, limits }), warnings: [...warnings, warning] };
}

function connectionsWithin(files: number, { upstream, routes }: Config): number {
  // With few files a half is for clients: nothing is promised then, but it serves.
  const rest = files - Math.min(upstream.connections + OTHERS, Math.floor(files / 2));
  // Half of the connections may be tunnels, of two sockets each.
  const tunnels = routes.some(({ upgrade }) => upgrade.length > 0);
  return Math.max(1, tunnels ? Math.floor(rest / 1.5) : rest);
}
