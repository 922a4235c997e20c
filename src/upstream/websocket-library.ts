// The part of http-proxy-3 that we use, loaded with the first WebSocket. It has its own file because the build loses
// the export names of a package that is imported dynamically (evanw/esbuild#3245), and so that the build's two bundles
// share one file for it.
export { createProxyServer } from 'http-proxy-3';
