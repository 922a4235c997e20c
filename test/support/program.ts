// The program that tests run: the source, or what `PROGRAM` names (`npm run test:built`: what was built of it).
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

export const PROGRAM = resolve(ROOT, process.env.PROGRAM ?? 'src/main.ts');
