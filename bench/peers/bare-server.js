// A bare node:http server that answers everything itself: the memory that a process of this Node holds, and how fast it
// starts.
import { createServer } from 'node:http';

createServer((request, response) => {
  request.resume();
  request.on('end', () => {
    response.writeHead(200, { 'content-type': 'application/json', 'x-answered-by': 'bare' });
    response.end('{"status":"ok"}');
  });
}).listen(Number(process.env.PORT), '127.0.0.1');
