// Every command by its name. A command is loaded only when it runs: some share the container's memory with the proxy.
import type { Definition, Run } from './command.ts';

type Load = () => Promise<{ readonly run: Run; readonly definition: Definition }>;

export const COMMANDS: Readonly<Record<string, Load>> = {
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
