// Builds the page from page/ into dist/, from which serve.ts serves it. The page includes the committed dashboard, which is
// outside this folder.
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
