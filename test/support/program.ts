// The program that tests run: the source, or what `PROGRAM` names (`npm test`: what was built of it).
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

export const PROGRAM = resolve(ROOT, process.env.PROGRAM ?? 'src/main.ts');

/** What `npm run build` made: where memory or a crowd is measured, it is measured as it ships. */
export function builtProgram(): string {
  const program = resolve(ROOT, 'dist/main.js');
  if (!existsSync(program)) throw new Error('there is no dist/main.js: npm run build first');
  return program;
}
