// The limits of this machine: what its open files and the byte budget allow of a configuration, and how many are open.
import { readFileSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { containerMemory } from '../base/bytes.ts';
import { codeOf } from '../base/errors.ts';
import { ByteBudget } from '../bodies/budget.ts';
import type { Config } from '../config/config.ts';
import type { LoadedConfig } from '../config/load.ts';
import { atValue, type ProblemAt } from '../config/problems.ts';
import { SIZE } from '../config/units.ts';

/** The configuration as this machine can run it, with a warning for each thing that it does not allow. */
export function fitMachine(loaded: LoadedConfig): LoadedConfig {
  const tooLarge = largeBodies(loaded.config).map(loaded.locate);
  return fitOpenFiles({ ...loaded, warnings: [...loaded.warnings, ...tooLarge] });
}

/** `limits.bufferedBytes`; `auto` is the smaller of 64 MiB and a quarter of the container's memory. */
export function budgetOf({ limits: { bufferedBytes } }: Config): number {
  return bufferedBytes === 'auto' ? Math.min(64 * 1024 * 1024, Math.floor(containerMemory() / 4)) : bufferedBytes;
}

/** Each `maxBody` that allows bodies for which an idle proxy has no room. */
function largeBodies(config: Config): readonly ProblemAt[] {
  const limit = budgetOf(config);
  const chunked = Math.floor(new ByteBudget(limit).most / 2);
  const { limits, routes } = config;
  const all = [
    { maxBody: limits.maxBody, path: ['limits', 'maxBody'] },
    ...routes.map(({ maxBody }, index) => ({ maxBody, path: ['routes', index, 'maxBody'] })),
  ];
  const large = all.filter(({ maxBody }, nth) => maxBody > chunked && (nth === 0 || maxBody !== limits.maxBody));
  const message = `limits.bufferedBytes, ${SIZE.format(limit)}, is sure to hold a body in chunks only up to ${chunked} bytes: larger ones get 503, however idle the proxy is; raise it, or lower maxBody`;
  return large.map(({ path }) => atValue(path, message));
}

/** The maximum number of files that this process may have open; Infinity where /proc does not say. */
function mostOpenFiles(): number {
  try {
    const soft = /^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'latin1'))?.[1];
    return Number(soft ?? Number.POSITIVE_INFINITY);
  } catch {
    return Number.POSITIVE_INFINITY;
  }
}

/**
 * Lowers `limits.connections` and `upstream.connections`, with a warning, to what the system's limit of open files allows:
 * each connection is an open file. At that limit accept() fails unseen, and nobody gets in any more, not even a probe.
 */
export function fitOpenFiles(loaded: LoadedConfig, files = mostOpenFiles()): LoadedConfig {
  const { config } = loaded;
  // The others: admin clients, closing sockets, a store; an idle proxy has 23, with SQLite 33.
  const left = Math.max(3, files - Math.min(256, Math.max(48, Math.floor(files / 4))));
  const slots = Math.min(config.upstream.connections, Math.floor(left / 3));
  const takes = Math.min(config.limits.connections, left - slots);
  if (takes === config.limits.connections && slots === config.upstream.connections) return loaded;
  const message = `${config.limits.connections} connections, and ${config.upstream.connections} to the upstream, need more files than the ${files} that this process may have open, so it takes ${takes}, and opens ${slots}; raise that limit (ulimit -n, LimitNOFILE=, --ulimit nofile=)`;
  const limits = Object.freeze({ ...config.limits, connections: takes });
  const upstream = Object.freeze({ ...config.upstream, connections: slots });
  const warnings = [...loaded.warnings, loaded.locate(atValue(['limits', 'connections'], message))];
  return { ...loaded, config: Object.freeze({ ...config, limits, upstream }), warnings };
}

/**
 * How many file descriptors the process has open, of how many. Out of them, libuv accepts a connection and closes it at
 * once, unseen (uv__emfile_trick, https://github.com/libuv/libuv/blob/v1.x/src/unix/stream.c): only the number tells.
 */
export class Descriptors {
  readonly #limit = mostOpenFiles();
  #open = 0;

  /** Counts them now, for the next `read`. */
  async count(): Promise<void> {
    if (this.#limit === Number.POSITIVE_INFINITY) return;
    try {
      this.#open = (await readdir('/proc/self/fd')).length;
    } catch (error) {
      // To read the directory needs one, too.
      if (codeOf(error) === 'EMFILE') this.#open = this.#limit;
    }
  }

  /** Null where the system does not tell. */
  read(): { readonly open: number; readonly limit: number } | null {
    return this.#limit === Number.POSITIVE_INFINITY ? null : { open: this.#open, limit: this.#limit };
  }
}
