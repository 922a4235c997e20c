// node:http, whose response takes no body for HEAD, 204 and 304: a server that keeps to the rule, to compare with.
import { createHash } from 'node:crypto';
import { createServer } from 'node:http';

const FORGED = 'HTTP/1.1 200 OK\r\nX-Echo: forged\r\nContent-Length: 6\r\n\r\nforged';
const STATUSES = { '/open/204': 204, '/open/304': 304 };
const print = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);

const server = createServer((request, response) => {
  const pieces = [];
  request.on('data', (piece) => pieces.push(piece));
  request.on('end', () => {
    const path = request.url.split('?')[0];
    const id = request.headers['x-case'] ?? '';
    const body = createHash('sha256').update(Buffer.concat(pieces)).digest('hex');
    const isNotify = path === '/notify';
    const signature = request.headers['entrupy-signature'] ?? '';
    print({ handler: isNotify ? 'notify' : 'open', case: id, signature, body });
    const status = STATUSES[path] ?? 200;
    const isLate = path.startsWith('/open/') && path !== '/open/plain';
    const text = isLate ? FORGED : isNotify ? body : 'open';
    response.writeHead(status, { 'X-Echo': id, ...(status === 200 && { 'Content-Length': text.length }) });
    response.flushHeaders();
    if (isLate) setTimeout(() => response.end(text), Math.random() * 4);
    else response.end(text);
  });
});
server.keepAliveTimeout = 10_000;
server.listen(0, '127.0.0.1', () => print({ listening: server.address().port }));
