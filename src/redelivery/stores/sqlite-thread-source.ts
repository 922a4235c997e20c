/** The code of the store's thread: here its file; a build puts the bundled text in its place (scripts/bundle.ts). */
export const threadSource: URL | string = new URL('./sqlite-thread.ts', import.meta.url);
