// The build holds llhttp as bytes.
// esbuild wraps the value of a CommonJS module as an object with a getter for each property. For llhttp's module that
// value is a Buffer: 60,000 getters, 37 ms of start and 20 MiB (scripts/build.ts).
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import { builtProgram } from '../../support/proxy/program.ts';

/** The first bytes of a WebAssembly module, in base64. */
const WEB_ASSEMBLY = /['"`]AGFzbQEAAAA/;

test('llhttp is in the build, only as bytes', () => {
  const directory = dirname(builtProgram());
  const files = readdirSync(directory).map((name) => readFileSync(join(directory, name), 'utf8'));
  expect(files.filter((text) => WEB_ASSEMBLY.test(text)).length).toBeGreaterThan(0);
  expect(files.filter((text) => /require_llhttp_wasm/.test(text))).toHaveLength(0);
});
