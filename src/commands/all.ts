// Every command by its name. A command is loaded only when it runs: some share the container's memory with the proxy.
import type { Definition, Run } from './command.ts';

interface Entry {
  /** One line, for the list of commands. */
  readonly does: string;
  readonly load: () => Promise<{ readonly run: Run; readonly definition: Definition }>;
}

export const COMMANDS: Readonly<Record<string, Entry>> = {
  serve: { does: 'run the proxy (the default)', load: () => import('./serve.ts') },
  'check-config': { does: 'check a configuration and its secrets', load: () => import('./check-config.ts') },
  check: { does: 'ask the running proxy how things stand', load: () => import('./check.ts') },
  sign: { does: 'sign a body as Entrupy does', load: () => import('./sign.ts') },
  verify: { does: 'verify a signature, or find out why it is invalid', load: () => import('./verify.ts') },
  capture: { does: 'write the next refused requests to files', load: () => import('./capture.ts') },
  explain: { does: 'explain what happens to a request, and why', load: () => import('./explain.ts') },
  deferred: { does: 'list, show, deliver or drop deferred deliveries', load: () => import('./deferred.ts') },
  probe: { does: 'send one POST, signed or not', load: () => import('./probe.ts') },
  'retire-previous': { does: 'end every overlap at once, after a leak', load: () => import('./retire-previous.ts') },
  healthcheck: { does: 'check whether a running proxy is ready', load: () => import('./healthcheck.ts') },
  demo: { does: 'try everything on loopback', load: () => import('./demo.ts') },
};

/** The help of the program itself. */
export function usage(): string {
  const lines = Object.entries(COMMANDS).map(([name, { does }]) => `  ${name.padEnd(17)}${does}`);
  return `Usage: entrupy-signature-proxy [COMMAND] [OPTIONS]

Verifies Entrupy webhook signatures in front of any upstream.

${lines.join('\n')}

  --help, --version; each command has its own --help
`;
}
