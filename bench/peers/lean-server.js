// The bare server without node's built-in undici, which `import … from 'node:http'` loads because it reads every export
// of the module. Shows the least memory that a process of this Node can hold, and its fastest start.
const { createServer } = process.getBuiltinModule('node:http');

createServer((request, response) => {
  request.resume();
  request.on('end', () => {
    response.writeHead(200, { 'content-type': 'application/json', 'x-answered-by': 'bare' });
    response.end('{"status":"ok"}');
  });
}).listen(Number(process.env.PORT), '127.0.0.1');
