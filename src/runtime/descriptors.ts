// How many file descriptors the process has open, of how many. Out of them, libuv accepts a connection and closes it at
// once, unseen (uv__emfile_trick, https://github.com/libuv/libuv/blob/v1.x/src/unix/stream.c): only the number tells.
import { readdir } from 'node:fs/promises';
import { codeOf } from '../base/errors.ts';
import { mostOpenFiles } from './machine-limits.ts';

export class Descriptors {
  readonly #limit = mostOpenFiles();
  #open = 0;

  /** Counts them now, for the next `read`. */
  async count(): Promise<void> {
    if (this.#limit === Number.POSITIVE_INFINITY) return;
    try {
      this.#open = (await readdir('/proc/self/fd')).length;
    } catch (error) {
      // To read the directory needs one, too.
      if (codeOf(error) === 'EMFILE') this.#open = this.#limit;
    }
  }

  /** Null where the system does not tell. */
  read(): { readonly open: number; readonly limit: number } | null {
    return this.#limit === Number.POSITIVE_INFINITY ? null : { open: this.#open, limit: this.#limit };
  }
}
