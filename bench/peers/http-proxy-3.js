// http-proxy-3 as its users write it: read the body, check it, pass it on as a stream.
import { Agent, createServer } from 'node:http';
import { Readable } from 'node:stream';
import { createProxyServer } from 'http-proxy-3';
import { isSigned, port, readWhole, unauthorized, upstream } from './check.js';

const agent = new Agent({ keepAlive: true, maxSockets: 128 });
const proxy = createProxyServer({ target: upstream, agent });
proxy.on('error', (_error, _request, response) => response.destroy());

createServer((request, response) => {
  readWhole(request, (body) => {
    if (!isSigned(request.headers['entrupy-signature'], body)) return unauthorized(response);
    proxy.web(request, response, { buffer: Readable.from([body]) });
  });
}).listen(port, '127.0.0.1');
