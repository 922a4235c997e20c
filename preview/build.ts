// How the page is built: from page/ into dist/, where serve.ts takes it. It reads the committed dashboard, outside this folder.
import { fileURLToPath } from 'node:url';
import type { InlineConfig } from 'vite';

const inside = (path: string) => fileURLToPath(new URL(path, import.meta.url));

export const OUTPUT = inside('dist');

export const VITE: InlineConfig = {
  root: inside('page'),
  configFile: false,
  logLevel: 'error',
  build: {
    outDir: OUTPUT,
    emptyOutDir: true,
    chunkSizeWarningLimit: 20_000,
    minify: false,
    reportCompressedSize: false,
  },
};
