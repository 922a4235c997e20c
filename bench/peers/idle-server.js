// Accepts connections and does nothing with them. Prints its port.
import { createServer } from 'node:net';

const server = createServer((socket) => socket.on('error', () => {}));
server.listen({ port: 0, host: '127.0.0.1', backlog: 4096 }, () => console.log(server.address().port));
