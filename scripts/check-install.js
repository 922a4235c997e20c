// Before scripts that need the development packages, in what any Node understands: one line that says what to run, where
// their absence would end in a stack.
import { existsSync } from 'node:fs';

if (!existsSync(new URL('../node_modules/esbuild', import.meta.url))) {
  process.stderr.write(
    'The development packages are not installed (NODE_ENV=production leaves them out): run npm ci --include=dev\n',
  );
  process.exitCode = 1;
}
