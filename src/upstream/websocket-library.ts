// What http-proxy-3 has that we use. A file of its own, to be loaded by the first WebSocket: a package that is imported
// dynamically itself comes out of the build without its names, and every handshake failed there.
export { createProxyServer } from 'http-proxy-3';
