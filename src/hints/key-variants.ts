// What a secret may have become between the person who made it and the program that signs with it. For the diagnosis
// alone: a signature by one of these is still refused.
import { Buffer } from 'node:buffer';
import { createSecretKey, type KeyObject } from 'node:crypto';

const PLACEHOLDER = "signed with the placeholder of Entrupy's example instead of a secret";

/** What senders without a secret sign with. */
export const LITERAL_SECRETS: readonly (readonly [hint: string, key: KeyObject])[] = [
  ['signed with an empty secret', createSecretKey(Buffer.alloc(0))],
  [PLACEHOLDER, createSecretKey(Buffer.from('your-secret-key-here'))],
  [PLACEHOLDER, createSecretKey(Buffer.from('yourkeyhere'))],
];

/** The ways in which a secret changes between two people, the usual first. The buffers are overwritten at the end. */
export function* keySpellings(key: KeyObject): Generator<readonly [hint: string, value: Buffer]> {
  const value = key.export();
  const text = value.toString('utf8');
  const spellings: [hint: string, value: Buffer][] = [
    ['the secret was used with a trailing newline', Buffer.from(`${text}\n`)],
    ['the secret was used with a trailing newline (CRLF)', Buffer.from(`${text}\r\n`)],
    ['the secret was used without the white space around it', Buffer.from(text.trim())],
    ['the secret was used without its quotes', Buffer.from(text.trim().replace(/^(["'])(.*)\1$/s, '$2'))],
    ['the secret was used with quotes around it', Buffer.from(`"${text}"`)],
    [
      "the base64 text of the secret was used (as in a Kubernetes Secret's data)",
      Buffer.from(value.toString('base64')),
    ],
  ];
  if (/^[A-Za-z0-9+/_-]{4,}={0,2}$/.test(text)) {
    const hint = 'the secret was base64-decoded by the sender';
    const decoded = Buffer.from(text, 'base64');
    spellings.push([hint, decoded], [hint, Buffer.from(decoded.toString('latin1').trimEnd(), 'latin1')]);
  }
  if (/^(?:[0-9a-f]{2})+$/i.test(text)) {
    spellings.push(['the secret was hex-decoded by the sender', Buffer.from(text, 'hex')]);
  }
  try {
    for (const spelling of spellings) if (!spelling[1].equals(value)) yield spelling;
  } finally {
    // Also where the reader stops at a match.
    for (const buffer of [value, ...spellings.map(([, spelt]) => spelt)]) buffer.fill(0);
  }
}
