// The first bytes of a TLS connection, until its ClientHello is whole (RFC 8446 4.1.2, in records of 5.1). A handshake
// begins only then: few are allowed at once, and a client that sends a single byte must not count as a handshake.
import { Buffer } from 'node:buffer';
import { JoinedBytes, NO_BYTES } from '../base/bytes.ts';

const TLS_HANDSHAKE = 22;
const MAJOR_VERSION = 3;
const CLIENT_HELLO = 1;
const RECORD_HEADER = 5;
const MESSAGE_HEADER = 4;
const MAX_RECORD = 16 * 1024;
/** Bytes. The end of a longer ClientHello is not waited for: honest ones have one or two KiB. */
const MAX_BUFFERED = 16 * 1024;

/** Reads each record once, since a client may send 16 KiB of tiny ones byte by byte. */
export class ClientHello {
  readonly #all = new JoinedBytes(MAX_BUFFERED);
  /** The place of the first record that is not whole. */
  #at = 0;
  /** Bytes of the message in the records before that place. */
  #received = 0;
  /** The message's first four bytes, as far as they are in those records. */
  #header = NO_BYTES;

  get bytes(): Buffer {
    return this.#all.bytes;
  }

  /** `other`: the bytes are no ClientHello, which OpenSSL refuses, or the ClientHello is too long to wait for. */
  add(piece: Buffer): 'part' | 'whole' | 'other' {
    this.#all.add(piece);
    const { bytes } = this;
    // OpenSSL, too, waits for the whole header of a record, whatever it begins with.
    while (bytes.length - this.#at >= RECORD_HEADER) {
      if (bytes[this.#at] !== TLS_HANDSHAKE || bytes[this.#at + 1] !== MAJOR_VERSION) return 'other';
      const length = bytes.readUInt16BE(this.#at + 3);
      if (length === 0 || length > MAX_RECORD) return 'other';
      const from = this.#at + RECORD_HEADER;
      const part = bytes.subarray(from, from + length);
      const header = Buffer.concat([this.#header, part.subarray(0, MESSAGE_HEADER - this.#header.length)]);
      const received = this.#received + part.length;
      if (header.length > 0 && header[0] !== CLIENT_HELLO) return 'other';
      const isKnown = header.length === MESSAGE_HEADER;
      if (isKnown && received >= MESSAGE_HEADER + header.readUIntBE(1, 3)) return 'whole';
      if (part.length < length) break;
      [this.#at, this.#received, this.#header] = [from + length, received, header];
    }
    return bytes.length >= MAX_BUFFERED ? 'other' : 'part';
  }
}
