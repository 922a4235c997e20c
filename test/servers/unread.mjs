// node:http alone or Express 5, by argument. The application reads only the body of /notify.
import { createServer } from 'node:http';
import { listening, reached } from './report.mjs';

const SLOW_MS = 100;

function answer(request, response) {
  response.setHeader('X-Echo', request.headers['x-case'] ?? '');
  if (request.url === '/slow') {
    setTimeout(() => response.end('open'), SLOW_MS);
    return;
  }
  if (request.url !== '/notify') {
    response.end('open');
    return;
  }
  const pieces = [];
  request.on('data', (piece) => pieces.push(piece));
  request.on('end', () => {
    const body = Buffer.concat(pieces);
    reached('notify', request.headers, body);
    response.end(Buffer.concat([Buffer.from('protected '), body]));
  });
}

async function application() {
  if (process.argv[2] === 'node') return answer;
  const { default: express } = await import('express5');
  return express().use(answer);
}

const server = createServer(await application());
server.listen(0, '127.0.0.1', () => listening(server));
