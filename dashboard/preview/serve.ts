// Serves the built page on a free loopback port, and passes queries on to Prometheus. It serves no file outside dist/ and
// the two folders of icons and fonts that the components load.
import { readFile } from 'node:fs/promises';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { extname } from 'node:path';
import { OUTPUT } from './build.ts';

const ICONS = new URL('node_modules/@grafana/ui/dist/public/img/icons/', import.meta.url);
const ICONS_AT = '/public/build/img/icons/';
const INTER = new URL('node_modules/@fontsource-variable/inter/files/inter-latin-wght-normal.woff2', import.meta.url);
const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.svg': 'image/svg+xml',
  '.woff2': 'font/woff2',
};

export async function servePage(prometheusUrl: string): Promise<{ readonly url: string; close(): void }> {
  const server = createServer(async ({ url = '/' }, response) => {
    try {
      const { pathname, search } = new URL(url, 'http://localhost');
      if (pathname.startsWith('/api/v1/query')) await relay(`${prometheusUrl}${pathname}${search}`, response);
      else await sendFile(fileOf(pathname), response);
    } catch {
      response.writeHead(404).end();
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}/`, close: () => void server.close() };
}

async function relay(url: string, response: ServerResponse): Promise<void> {
  const answer = await fetch(url);
  response.writeHead(answer.status, { 'Content-Type': 'application/json' }).end(await answer.text());
}

/** `URL` has already removed dot segments. */
function fileOf(pathname: string): URL {
  if (pathname.startsWith('/public/fonts/inter/')) return INTER;
  if (pathname.startsWith(ICONS_AT)) return new URL(pathname.slice(ICONS_AT.length), ICONS);
  return new URL(`file://${OUTPUT}${pathname === '/' ? '/index.html' : pathname}`);
}

async function sendFile(file: URL, response: ServerResponse): Promise<void> {
  const content = await readFile(file);
  response.writeHead(200, { 'Content-Type': TYPES[extname(file.pathname)] ?? 'application/octet-stream' }).end(content);
}
