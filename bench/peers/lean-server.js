// The bare server without node's built-in undici: `import … from 'node:http'` reads every export of the module, and that
// loads it. What a process of this Node holds at least, and how fast it can start.
const { createServer } = process.getBuiltinModule('node:http');

createServer((request, response) => {
  request.resume();
  request.on('end', () => {
    response.writeHead(200, { 'content-type': 'application/json', 'x-answered-by': 'bare' });
    response.end('{"status":"ok"}');
  });
}).listen(Number(process.env.PORT), '127.0.0.1');
