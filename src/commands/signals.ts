// What signals do to `serve`. They are heard before the program is even loaded: a process that is PID 1 and has no handler
// ignores SIGTERM, and is killed at the end of the grace period.

interface Running {
  /** True until the proxy serves. */
  isStarting(): boolean;
  reload(): void;
}

interface Signals {
  /** The first SIGTERM or SIGINT. `skip`: without the delay of `shutdown.delay`. */
  readonly stop: Promise<'keep' | 'skip'>;
  /** Hears no signal any more. */
  off(): void;
}

export function hearSignals({ isStarting, reload }: Running): Signals {
  const { promise: stop, resolve } = Promise.withResolvers<'keep' | 'skip'>();
  let count = 0;
  const onStop = (signal: NodeJS.Signals) => {
    // A second signal exits at once, without flushing or waiting.
    if (count++ > 0) process.exit(signal === 'SIGINT' ? 130 : 143);
    // No balancer sends requests to a proxy that is still starting, so no delay is needed.
    resolve(isStarting() || signal === 'SIGINT' ? 'skip' : 'keep');
  };
  process.on('SIGTERM', onStop).on('SIGINT', onStop).on('SIGHUP', reload);
  return { stop, off: () => void process.off('SIGTERM', onStop).off('SIGINT', onStop).off('SIGHUP', reload) };
}
