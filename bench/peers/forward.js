// Bare forwarding with undici's pool: no limits, and no handling of hop-by-hop lines, timeouts or clients that leave.
// Fit only for a measurement.
import { createRequire } from 'node:module';
import { upstream } from './check.js';

// The product's undici: the one beside this file is another version, used by a peer.
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
