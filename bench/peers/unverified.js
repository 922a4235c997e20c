// Bare proxying: the floor without the check, in two ways. `whole` reads the body before it sends it, as every verifier
// must; `stream` forwards it as it arrives.
import { createServer } from 'node:http';
import { port, readWhole } from './check.js';
import { forward } from './forward.js';

const [way] = process.argv.slice(2);

createServer((request, response) => {
  if (way === 'stream') forward(request, response, request);
  else readWhole(request, (body) => forward(request, response, body));
}).listen(port, '127.0.0.1');
