/** The code of the store's thread: here its file, in a build the bundled text (scripts/bundle.ts). */
export const threadSource: URL | string = new URL('./sqlite-thread.ts', import.meta.url);
