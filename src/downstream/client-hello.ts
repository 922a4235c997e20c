// The first bytes of a TLS connection, until its ClientHello is whole (RFC 8446 4.1.2, in records of 5.1). TLS itself
// begins only then: a TLS handshake has one of few places, and a client that sends one byte must not get one.

import { Buffer } from 'node:buffer';
import { appended, NO_BYTES } from '../base/bytes.ts';

const TLS_HANDSHAKE = 22;
const MAJOR_VERSION = 3;
const CLIENT_HELLO = 1;
const RECORD_HEADER = 5;
const MESSAGE_HEADER = 4;
const MAX_RECORD = 16 * 1024;
/** Bytes. A longer ClientHello begins before it is whole: honest ones have one or two KiB. */
const MAX_BUFFERED = 16 * 1024;

export class ClientHello {
  /** All that came, in memory of its own. */
  bytes = NO_BYTES;
  /** Where the record begins that is not whole yet. */
  #record = 0;
  /** Bytes of the message in the records before, and its first four. */
  #received = 0;
  #header = NO_BYTES;

  /** `other`: it is no ClientHello, or too long. OpenSSL then answers with its alert. */
  add(piece: Buffer): 'part' | 'whole' | 'other' {
    this.bytes = appended(this.bytes, piece);
    let found = this.#readRecord();
    while (found === 'next') found = this.#readRecord();
    return found === 'part' && this.bytes.length >= MAX_BUFFERED ? 'other' : found;
  }

  #readRecord(): 'part' | 'whole' | 'other' | 'next' {
    const record = this.bytes.subarray(this.#record);
    // OpenSSL, too, waits for the whole header, whatever it begins with.
    if (record.length < RECORD_HEADER) return 'part';
    if (record[0] !== TLS_HANDSHAKE || record[1] !== MAJOR_VERSION) return 'other';
    const length = record.readUInt16BE(3);
    if (length === 0 || length > MAX_RECORD) return 'other';
    const fragment = record.subarray(RECORD_HEADER, RECORD_HEADER + length);
    const header = Buffer.concat([this.#header, fragment.subarray(0, MESSAGE_HEADER - this.#header.length)]);
    if (header.length > 0 && header[0] !== CLIENT_HELLO) return 'other';
    const isKnown = header.length === MESSAGE_HEADER;
    if (isKnown && this.#received + fragment.length >= MESSAGE_HEADER + header.readUIntBE(1, 3)) return 'whole';
    if (fragment.length < length) return 'part';
    this.#header = header;
    this.#received += length;
    this.#record += RECORD_HEADER + length;
    return 'next';
  }
}
