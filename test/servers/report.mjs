// What each test server prints, one JSON object a line: its port once it listens, and each request that reached one of
// its three protected handlers. The test does the judging: a server must never look at the signature.

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

/** The raw target goes back in a header, where a header may hold it: so that a test sees what arrived. */
export function targetHeader(target) {
  return /^[\x21-\x7e]+$/.test(target) ? { 'x-target': target } : {};
}

// To a pipe on Linux this is written before it returns: a line is out before the response that follows it.
function print(line) {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}
