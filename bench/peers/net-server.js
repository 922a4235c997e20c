// A bare `net` server that answers everything itself, without reading HTTP: the least memory that a process of this Node
// with a listening socket holds.
const { createServer } = process.getBuiltinModule('node:net');

const BODY = '{"status":"ok"}';
const HEAD = `HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-Answered-By: bare\r\nContent-Length: ${BODY.length}\r\n\r\n`;

// A request comes whole or in two pieces, and the last one ends with the body's last bytes.
createServer((socket) => {
  socket.on('error', () => {});
  socket.on('data', (bytes) => {
    if (bytes.at(-1) === 0x7d) socket.write(HEAD + BODY);
  });
}).listen(Number(process.env.PORT), '127.0.0.1');
