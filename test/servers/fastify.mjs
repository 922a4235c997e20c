// Fastify: three protected handlers, everything else open. The argument `lax` turns on every option that makes it read
// paths more loosely.
import Fastify from 'fastify';
import { HANDLERS, listening, reached, targetHeader } from './report.mjs';

const LAX = {
  ignoreTrailingSlash: true,
  ignoreDuplicateSlashes: true,
  caseSensitive: false,
  useSemicolonDelimiter: true,
};

const app = Fastify({ routerOptions: process.argv[2] === 'lax' ? LAX : {} });
app.removeAllContentTypeParsers();
app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body));
app.addHook('onRequest', async (request, reply) => {
  reply.headers(targetHeader(request.raw.url));
});
for (const [url, handler] of Object.entries(HANDLERS)) {
  app.route({
    method: ['GET', 'POST'],
    url,
    handler: async (request) => {
      reached(handler, request.headers, request.body);
      return 'protected';
    },
  });
}
app.setNotFoundHandler(async (_request, reply) => reply.code(200).send('open'));

await app.listen({ port: 0, host: '127.0.0.1' });
listening(app.server);
