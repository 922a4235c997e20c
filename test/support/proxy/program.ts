// The program that tests run: the source, or the file that `PROGRAM` names (`npm test`: the build).
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { ROOT } from '../machine/tools.ts';

export const PROGRAM = resolve(ROOT, process.env.PROGRAM ?? 'src/main.ts');

const CACHE = process.env.NODE_COMPILE_CACHE;

/** The environment that each program gets: PATH, and where Node finds what it has compiled before (vitest.config.ts). */
export const PROGRAM_ENV: Readonly<Record<string, string>> = {
  PATH: process.env.PATH ?? '',
  ...(CACHE !== undefined && { NODE_COMPILE_CACHE: CACHE }),
};

/** The result of `npm run build`: tests of memory or of a crowd measure the program as it ships. */
export function builtProgram(): string {
  const program = resolve(ROOT, 'dist/main.js');
  if (!existsSync(program)) throw new Error('there is no dist/main.js: npm run build first');
  return program;
}
