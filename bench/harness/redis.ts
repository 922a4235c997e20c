// A Redis for one measurement, on the load's core and not on the proxy's; it keeps nothing on disk.
import { once } from 'node:events';
import { spawnRedis, untilListening } from '../../test/support/once/redis-process.ts';

export interface Redis {
  readonly pid: number;
  readonly url: string;
  stop(): Promise<void>;
}

export async function startRedis({ directory, port }: { directory: string; port: number }): Promise<Redis> {
  const child = spawnRedis('redis-server', { directory, args: ['--port', String(port)] });
  const orphaned = () => child.kill('SIGKILL');
  process.on('exit', orphaned);
  const exited = once(child, 'exit');
  await untilListening(child);
  return {
    pid: child.pid ?? 0,
    url: `redis://127.0.0.1:${port}`,
    async stop() {
      child.kill('SIGKILL');
      await exited;
      process.off('exit', orphaned);
    },
  };
}
