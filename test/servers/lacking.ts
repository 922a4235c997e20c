// What a kind of real server is, and what it lacks on this machine.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { PATH } from './on-free-port.ts';
import type { RealServer } from './real-server.ts';

export interface Kind {
  readonly name: string;
  /** What it lacks on this machine; null if it can run. */
  readonly missing: () => string | null;
  readonly start: () => Promise<RealServer>;
}

export const PYTHON = '/usr/bin/python3';

export const runs = (program: string, ...args: readonly string[]) =>
  spawnSync(program, args, { env: { PATH }, stdio: 'ignore', timeout: 20_000 }).status === 0;

export const lacksNginx = () => (runs('nginx', '-v') ? null : 'nginx is not installed');

export const lacksModules = (...modules: readonly string[]) =>
  runs(PYTHON, '-c', `import ${modules.join(', ')}`) ? null : `Python lacks one of ${modules.join(', ')}`;

export const lacksFlask = () => lacksModules('flask', 'gunicorn');

export const lacksPackages = () =>
  existsSync(fileURLToPath(new URL('node_modules/.installed', import.meta.url)))
    ? null
    : 'scripts/ci-setup.sh e2e has not run';
