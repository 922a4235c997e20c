// The part of http-proxy-3 that we use, loaded with the first WebSocket. It has its own file because the build loses
// the export names of a package that is imported dynamically (evanw/esbuild#3245); and its two bundles share one file.
export { createProxyServer } from 'http-proxy-3';
