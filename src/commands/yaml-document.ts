// What `healthcheck` needs of `yaml`, and only where a file says something of the admin port (http/websocket-library.ts says
// why the package is not imported dynamically itself).
export { parseDocument } from 'yaml';
