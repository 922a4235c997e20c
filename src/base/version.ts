// The version of the program and the address of its documentation, from package.json, which the build inlines.
import manifest from '../../package.json' with { type: 'json' };

export const VERSION: string = manifest.version;

const url = (manifest as { readonly repository?: { readonly url?: string } }).repository?.url;

/** The address of docs/, without a trailing slash; null until package.json has a `repository` with a `url`. */
export const DOCS = url === undefined ? null : `${url.replace(/^git\+|\.git$/g, '')}/blob/main/docs`;
