// `serve`: the proxy as a process, with its signals and exit codes.
import type { AddressInfo } from 'node:net';
import { blockedThreads, END_MS, exitNow, killSelf } from '../base/blocked-threads.ts';
import { ignore } from '../base/errors.ts';
import type { RunningProxy } from '../runtime/proxy.ts';
import { command, type Io } from './command.ts';

const LISTEN_FAILURES: Readonly<Record<string, string>> = {
  EADDRINUSE:
    'the port is in use by another program or another instance of this one; set listen.port (LISTEN_PORT) for clients or admin.port (ADMIN_PORT) for the admin port to another',
  EACCES: 'this user may not listen on that port; set listen.port or admin.port to 1024 or higher',
  EADDRNOTAVAIL:
    'no interface of this machine has that address; correct listen.host (LISTEN_HOST) or admin.host (ADMIN_HOST)',
};

export const run = command('serve', async ({ values }, io) => {
  try {
    return await serve(values.config ?? null, io);
  } catch (error) {
    const { syscall, address, port, code = '', message } = error as NodeJS.ErrnoException & Partial<AddressInfo>;
    if (syscall !== 'listen') throw error;
    io.stderr(`cannot listen on ${address} port ${port ?? '?'}: ${code}: ${LISTEN_FAILURES[code] ?? message}\n`);
    return 1;
  }
});

async function serve(configFile: string | null, io: Io): Promise<number> {
  let proxy: RunningProxy | null = null;
  // Signals are handled before the program is loaded: without a handler, PID 1 ignores SIGTERM, until it is killed.
  const { promise: stopped, resolve: stop } = Promise.withResolvers<'keep' | 'skip'>();
  let count = 0;
  const onStop = (signal: NodeJS.Signals) => {
    // A second signal exits at once, without flushing or waiting.
    if (count++ > 0) {
      proxy?.tellStopped();
      return exitNow(signal === 'SIGINT' ? 130 : 143);
    }
    // SIGINT skips shutdown.delay. So does a stop during the start, since no load balancer sends requests yet.
    stop(proxy === null || signal === 'SIGINT' ? 'skip' : 'keep');
  };
  // Without a handler node opens its debugger on loopback, where a pod's other containers could read the secrets.
  process.on('SIGUSR1', ignore);
  process
    .on('SIGTERM', onStop)
    .on('SIGINT', onStop)
    .on('SIGHUP', () => void proxy?.reload());
  const { startProxy } = await import('../runtime/proxy.ts');
  proxy = await startProxy({ configFile, env: io.env, stdout: process.stdout });
  const delay = await stopped;
  await proxy.stop({ delay });
  proxy = null;
  // Forces the exit, since a pipe that nobody reads would keep the process alive.
  setTimeout(() => void exit(), END_MS.exit).unref();
  return 0;
}

async function exit(): Promise<void> {
  if ((await blockedThreads(END_MS.look)).length > 0) killSelf();
  process.exit(0);
}
