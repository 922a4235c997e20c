// The floor of our building blocks: bare node:http and undici's pool with the naive check between them. No limits, no
// gate, no metrics.
import { createServer } from 'node:http';
import { isSigned, port, readWhole, unauthorized } from './check.js';
import { forward } from './forward.js';

createServer((request, response) => {
  readWhole(request, (body) => {
    if (isSigned(request.headers['entrupy-signature'], body)) forward(request, response, body);
    else unauthorized(response);
  });
}).listen(port, '127.0.0.1');
