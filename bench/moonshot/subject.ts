// The prototypes as subjects of the bench: bundled as the product is, or the type stripper would weigh on their memory and start.
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildSync } from 'esbuild';
import type { Site, Subject } from '../subjects.ts';

const MAIN = fileURLToPath(new URL('main.ts', import.meta.url));

export function moonshot(way: 'undici' | 'raw', what: string): Subject {
  return {
    name: `moonshot-${way}`,
    what: `the study of an own parser on raw sockets, ${what}`,
    secrets: 1,
    verifies: true,
    forwards: true,
    program(site) {
      const { port, upstreamPort, secrets } = site;
      const env = { PORT: String(port), UPSTREAM: `http://127.0.0.1:${upstreamPort}`, SECRET: secrets[0] ?? '' };
      return { command: process.execPath, args: [bundled(site), way], env };
    },
  };
}

function bundled({ directory }: Site): string {
  const outfile = join(directory, 'moonshot.mjs');
  buildSync({
    entryPoints: [MAIN],
    outfile,
    bundle: true,
    platform: 'node',
    target: 'node24',
    format: 'esm',
    minifySyntax: true,
    minifyWhitespace: true,
    logLevel: 'warning',
    banner: {
      js: "import{createRequire as __createRequire}from'node:module';const require=__createRequire(import.meta.url);",
    },
  });
  return outfile;
}
