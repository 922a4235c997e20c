// Express with its defaults, version 4 or 5 by argument: three protected handlers, everything else open.
import { HANDLERS, listening, reached, targetHeader } from './report.mjs';

const { default: express } = await import(`express${process.argv[2]}`);

const app = express();
app.use((request, response, next) => {
  response.set(targetHeader(request.originalUrl));
  next();
});
app.use(express.raw({ type: () => true }));
for (const [path, handler] of Object.entries(HANDLERS)) {
  app.all(path, (request, response) => {
    reached(handler, request.headers, request.body);
    response.send('protected');
  });
}
app.use((_request, response) => response.send('open'));

const server = app.listen(0, '127.0.0.1', () => listening(server));
