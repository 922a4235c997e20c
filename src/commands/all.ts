// Every command by its name. A command is loaded only when it runs: some share the container's memory with the proxy.
import type { Run } from './command.ts';
import type { CommandName } from './options.ts';

type Load = () => Promise<{ readonly run: Run }>;

const LOADERS: Readonly<Record<CommandName, Load>> = {
  serve: () => import('./serve.ts'),
  'check-config': () => import('./check-config.ts'),
  check: () => import('./check.ts'),
  sign: () => import('./sign.ts'),
  verify: () => import('./verify.ts'),
  capture: () => import('./capture.ts'),
  explain: () => import('./explain.ts'),
  deferred: () => import('./deferred.ts'),
  probe: () => import('./probe.ts'),
  'retire-previous': () => import('./retire-previous.ts'),
  healthcheck: () => import('./healthcheck.ts'),
  demo: () => import('./demo.ts'),
};

export const COMMANDS = new Map<string, Load>(Object.entries(LOADERS));
