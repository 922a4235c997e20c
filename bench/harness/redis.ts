// A Redis for one measurement, beside the load and not on the proxy's core; it keeps nothing on disk.
import { spawn } from 'node:child_process';
import { once } from 'node:events';

export interface Redis {
  readonly pid: number;
  readonly url: string;
  stop(): Promise<void>;
}

export async function startRedis({ directory, port }: { directory: string; port: number }): Promise<Redis> {
  const flags = ['--port', String(port), '--bind', '127.0.0.1', '--dir', directory, '--save', '', '--appendonly', 'no'];
  const child = spawn('redis-server', flags, { stdio: ['ignore', 'pipe', 'inherit'] });
  const orphaned = () => child.kill('SIGKILL');
  process.on('exit', orphaned);
  const exited = once(child, 'exit');
  await new Promise<void>((resolve, reject) => {
    let text = '';
    child.once('error', reject);
    child.once('exit', () => reject(new Error(`redis-server ended before it listened:\n${text}`)));
    child.stdout.setEncoding('utf8').on('data', (piece: string) => {
      text += piece;
      if (text.includes('Ready to accept connections')) resolve();
    });
  });
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
