// A front in Node, as people write one: it pipes both ways and keeps its connections to the proxy.
import { readFileSync } from 'node:fs';
import { Agent, createServer, request as send } from 'node:http';

const { port, behind } = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const agent = new Agent({ keepAlive: true, maxFreeSockets: 64 });

const server = createServer((request, response) => {
  const { method, url: path, headers } = request;
  const { connection: _, ...kept } = headers;
  const sending = send({ agent, host: '127.0.0.1', port: behind, method, path, headers: kept }, (answer) => {
    const { connection: __, ...lines } = answer.headers;
    response.writeHead(answer.statusCode, lines);
    answer.pipe(response);
    answer.on('error', () => response.destroy());
  });
  sending.on('error', () => {
    if (response.headersSent) response.destroy();
    else response.writeHead(502, { 'Content-Length': 0 }).end();
  });
  request.pipe(sending);
  request.on('error', () => sending.destroy());
  response.on('close', () => response.writableFinished || sending.destroy());
});
server.keepAliveTimeout = 60_000;
server.listen(port, '127.0.0.1');
