// The check for nginx's njs, over the body's bytes in memory. Compared as text: njs has no constant-time comparison.
// biome-ignore lint/style/useNodejsImportProtocol: njs has modules of its own, and no `node:`
import crypto from 'crypto';

function check(r) {
  const want = crypto.createHmac('sha256', r.variables.secret).update(r.requestBuffer).digest('base64');
  if (r.headersIn['Entrupy-Signature'] === `SHA256:${want}`) r.internalRedirect('@app');
  else {
    r.headersOut['Content-Type'] = 'application/json';
    r.return(401, '{"error":"unauthorized"}');
  }
}

export default { check };
