// Each hint names a place where its cause is mended.
import { createSecretKey } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { hintRemedy } from '../../../src/admin/hint-remedies.ts';
import { bodyVariants, keyVariants } from '../../../src/hints/variants.ts';

const REMEDY = {
  compression: /compresses or decompresses bodies/,
  front: /changes bodies/,
  route: /^Give the route/,
  secret: /same form/,
  sender: /how the sender signs/,
};
type Place = keyof typeof REMEDY;

const BODY = Buffer.from('{"a": 1, "b": "é"}\r\n');
const KEY = createSecretKey(Buffer.from(' "a secret of words" '));

test.each<[string, Place]>([
  ['the body was signed before it was compressed', 'compression'],
  ['the body was decompressed on the way: it has a Content-Encoding, and is plain', 'compression'],
  ['the body was re-serialised on the way (JSON compact matches)', 'front'],
  ['line breaks were changed on the way (LF was signed, CRLF arrived)', 'front'],
  ['the body was wrapped in a JSON string after it was signed', 'front'],
  ['signed with secret "b" of another route', 'route'],
  ['the secret was used with a trailing newline', 'secret'],
  ["the base64 text of the secret was used (as in a Kubernetes Secret's data)", 'secret'],
  ['the secret was base64-decoded by the sender', 'sender'],
  ['the signature is hex, not base64; otherwise it is correct', 'sender'],
  ['signed with an empty secret', 'sender'],
])('%s: %s', (hint, place) => expect(hintRemedy(hint)[0]).toMatch(REMEDY[place]));

test('what happens on the way is mended in front, and the form of a secret on both sides', () => {
  const bodies = [BODY, gzipSync(BODY), Buffer.from('aGk=')].flatMap((body) => bodyVariants(body, 1 << 14));
  for (const [hint] of bodies) expect(hintRemedy(hint)[0], hint).toMatch(REMEDY[expected(hint)]);
  for (const [hint] of keyVariants(KEY, BODY))
    expect(hintRemedy(hint)[0], hint).toMatch(REMEDY[hint.includes('used') ? 'secret' : 'sender']);
});

function expected(hint: string): Place {
  if (hint.includes('compressed')) return 'compression';
  return /way|after it was signed/.test(hint) ? 'front' : 'sender';
}
