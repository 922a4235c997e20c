// The part of http-proxy-3 that we use, for the first WebSocket to load. It needs a file of its own: a package that is
// itself imported dynamically comes out of the build without its names.
export { createProxyServer } from 'http-proxy-3';
