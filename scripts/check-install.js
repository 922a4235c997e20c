// Runs before scripts that need the development packages, in syntax that any Node understands. Without the packages it
// prints one line that says what to run, instead of a stack trace.
import { existsSync } from 'node:fs';

if (!existsSync(new URL('../node_modules/esbuild', import.meta.url))) {
  process.stderr.write(
    'The development packages are not installed (NODE_ENV=production leaves them out): run npm ci --include=dev; or take the executable of a release, which needs none (docs/systemd.md)\n',
  );
  process.exitCode = 1;
}
