/** The store's thread: its file, of the sources; in a build the text of all that it needs (scripts/bundle.ts). */
export const threadSource: URL | string = new URL('./sqlite-thread.ts', import.meta.url);
