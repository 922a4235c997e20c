// The output of each test server, one JSON object a line: its port once it listens, and each request that reached one
// of its three protected handlers. Only the test judges: a server must never look at the signature.

export const HANDLERS = { '/notify': 'notify', '/webhooks/notify': 'webhooks', '/internal': 'internal' };

/** Prints the port of a node server that listens on a free loopback port. */
export function listening(server) {
  print({ listening: server.address().port });
}

/** A request reached the handler. `headers` as node gives them, `body` a Buffer or nothing. */
export function reached(handler, headers, body) {
  const { 'x-case': id = '', 'entrupy-signature': signature = '' } = headers;
  print({ handler, case: id, signature, body: Buffer.isBuffer(body) ? body.toString('latin1') : '' });
}

/** Returns the raw target in a header, if a header may hold it, so a test sees what arrived. */
export function targetHeader(target) {
  return /^[\x21-\x7e]+$/.test(target) ? { 'x-target': target } : {};
}

// Writes to a pipe are synchronous on Linux, so the line is out before the response.
function print(line) {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}
