// Log lines about many deliveries: a store may hold tens of thousands of them, and each may have the same to tell.

export type Level = 'info' | 'warn' | 'error';
export type Fields = Readonly<Record<string, string | number>>;
export type Teller = (level: Level, message: string, fields: Fields) => void;

/** Writes the first line of each message, and counts those that follow until the next flush. */
export class Telling {
  readonly #write: Teller;
  /** By message: how many were left out, and the last of them. */
  readonly #leftOut = new Map<string, { level: Level; fields: Fields; count: number }>();

  constructor(write: Teller) {
    this.#write = write;
  }

  tell(level: Level, message: string, fields: Fields): void {
    const before = this.#leftOut.get(message);
    if (before === undefined) this.#write(level, message, fields);
    this.#leftOut.set(message, { level, fields, count: before === undefined ? 0 : before.count + 1 });
  }

  flush(): void {
    for (const [message, { level, fields, count }] of this.#leftOut) {
      if (count > 0) this.#write(level, message, { ...fields, count });
    }
    this.#leftOut.clear();
  }
}
