// The version of the program and the address of its documentation, as package.json has them: the build puts the same
// text in its place.
import manifest from '../../package.json' with { type: 'json' };

export const VERSION: string = manifest.version;

const { repository } = manifest as { readonly repository?: string | { readonly url?: string } };

/** The address of docs/, without a slash at its end; null until `repository` in package.json is filled in. */
export const DOCS: string | null = docsAddress(typeof repository === 'string' ? repository : repository?.url);

/** `git+https://host/owner/name.git` is what npm writes; a form that a browser cannot open gives null. */
export function docsAddress(url: string | undefined): string | null {
  const match = /^(?:git\+)?(https:\/\/[^\s?#]+?)(?:\.git)?\/?$/.exec(url ?? '');
  return match === null ? null : `${match[1]}/blob/main/docs`;
}
