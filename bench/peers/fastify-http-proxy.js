// @fastify/http-proxy as its users write it: a hook before the handler reads the body, checks it and puts it back as a
// stream (a Buffer would be turned into JSON text).
import { Readable } from 'node:stream';
import httpProxy from '@fastify/http-proxy';
import fastify from 'fastify';
import { isSigned, port, readWhole, upstream } from './check.js';

const server = fastify({ bodyLimit: 2 * 1024 * 1024 });
server.register(httpProxy, {
  upstream,
  undici: { connections: 128, pipelining: 1 },
  preHandler(request, reply, done) {
    readWhole(request.body, (body) => {
      if (!isSigned(request.headers['entrupy-signature'], body)) {
        reply.code(401).send({ error: 'unauthorized' });
        return;
      }
      request.body = Readable.from([body]);
      done();
    });
  },
});
await server.listen({ port, host: '127.0.0.1' });
