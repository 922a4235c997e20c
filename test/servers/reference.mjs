// In place of the proxy, to see what fronts do by themselves: node:http refuses what has no signature before it reads
// the body, and forwards all else on a new connection each time. It verifies nothing.
import { createServer, request as send } from 'node:http';

const upstream = Number(process.argv[2]);

const server = createServer((request, response) => {
  const { method, url: path, headers } = request;
  if (path === '/notify' && headers['entrupy-signature'] === undefined) {
    request.resume();
    response.writeHead(401, { 'Content-Length': 0 }).end();
    return;
  }
  const kept = { ...headers, connection: 'close' };
  const sending = send({ agent: false, host: '127.0.0.1', port: upstream, method, path, headers: kept }, (answer) => {
    const { connection: _, ...lines } = answer.headers;
    response.writeHead(answer.statusCode, lines);
    answer.pipe(response);
  });
  sending.on('error', () => response.destroy());
  request.pipe(sending);
});
server.keepAliveTimeout = 75_000;
const print = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);
server.listen(0, '127.0.0.1', () => print({ listening: server.address().port }));
