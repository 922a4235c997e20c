// What the build must be. That licences and SBOM name what is in it: test/e2e/npm-package.test.ts, and those of the image and of
// the executable.
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import manifest from '../../../package.json' with { type: 'json' };
import { builtProgram } from '../../support/proxy/program.ts';

/** The first bytes of a WebAssembly module, in base64. */
const WEB_ASSEMBLY = /['"`]AGFzbQEAAAA/;

const directory = dirname(builtProgram());
const files = readdirSync(directory).map((name) => join(directory, name));

// esbuild wraps the value of a CommonJS module as an object with a getter for each property. For llhttp's module that
// value is a Buffer: 60,000 getters, 37 ms of start and 20 MiB (scripts/build.ts).
test('llhttp is in the build, only as bytes', () => {
  const texts = files.map((file) => readFileSync(file, 'utf8'));
  expect(texts.filter((text) => WEB_ASSEMBLY.test(text)).length).toBeGreaterThan(0);
  expect(texts.filter((text) => /require_llhttp_wasm/.test(text))).toHaveLength(0);
});

// A part that both of the build's bundles share is one file only while its imports are the same in both.
test('no large part of dist is there twice', () => {
  const sizes = files.map((file) => statSync(file).size);
  const large = sizes.filter((size) => size > 32 * 1024).toSorted((a, b) => a - b);
  expect(large.length).toBeGreaterThan(5);
  // Copies differ by the names in their imports.
  expect(large.filter((size, nth) => size - (large[nth - 1] ?? 0) < 256)).toEqual([]);
});

// Tools that read `dependencies` find none: the build holds what the program needs.
test('installing the package installs no other package, and undici is pinned', () => {
  expect(Object.keys(manifest).filter((key) => /dependencies$/i.test(key))).toEqual(['devDependencies']);
  expect(manifest.devDependencies.undici).toMatch(/^\d+\.\d+\.\d+$/);
});
