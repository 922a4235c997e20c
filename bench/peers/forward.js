// Bare forwarding by undici's pool: no limits, no care for hop-by-hop lines, timeouts or clients that leave. Fit for a
// measurement alone.
import { createRequire } from 'node:module';
import { upstream } from './check.js';

// The product's undici: beside this file lies another version, a peer's.
const { Pool } = createRequire(new URL('../../package.json', import.meta.url))('undici');
const pool = new Pool(upstream, { connections: 128 });

class Handler {
  constructor(response) {
    this.response = response;
  }
  onRequestStart() {}
  onResponseStart(_controller, status, headers) {
    this.response.writeHead(status, headers);
  }
  onResponseData(_controller, chunk) {
    this.response.write(chunk);
  }
  onResponseEnd() {
    this.response.end();
  }
  onResponseError() {
    this.response.destroy();
  }
}

export function forward(request, response, body) {
  const { url: path, method, rawHeaders: headers } = request;
  pool.dispatch({ path, method, headers, body }, new Handler(response));
}
