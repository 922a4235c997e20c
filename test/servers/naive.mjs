// A home-made, well-meaning server. It decodes until nothing changes, accepts both slashes, cuts parameters, normalises
// and ignores case. It also trusts the headers that give IIS and Symfony another target.
import { createServer } from 'node:http';
import { posix } from 'node:path';
import { HANDLERS, listening, reached, targetHeader } from './report.mjs';

function decodeAll(path) {
  try {
    const next = decodeURIComponent(path);
    return next === path ? path : decodeAll(next);
  } catch {
    return path;
  }
}

function pathOf(target) {
  const bare = target.replace(/^https?:\/\/[^/]*/i, '').replace(/[?#].*$/s, '');
  const segments = decodeAll(bare)
    .replaceAll('\\', '/')
    .split('/')
    .map((segment) => segment.replace(/[;?#\0].*$/s, '').trim());
  const path = posix.normalize(segments.join('/')).normalize('NFKC').toLowerCase();
  return path.replace(/^\/index\.php(?=\/)/, '').replace(/(?:\.json|[./\s])+$/, '');
}

const server = createServer((request, response) => {
  const { headers, url } = request;
  const handler = HANDLERS[pathOf(headers['x-original-url'] ?? headers['x-rewrite-url'] ?? url)];
  const pieces = [];
  request.on('data', (piece) => pieces.push(piece));
  request.on('end', () => {
    if (handler !== undefined) reached(handler, headers, Buffer.concat(pieces));
    response.writeHead(200, targetHeader(url));
    response.end(handler === undefined ? 'open' : 'protected');
  });
});
server.listen(0, '127.0.0.1', () => listening(server));
