// The version of the program and the address of its documentation, from package.json, which the build inlines.
import manifest from '../../package.json' with { type: 'json' };

export const VERSION: string = manifest.version;

const { repository } = manifest as { readonly repository?: string | { readonly url?: string } };

/** The address of docs/, without a trailing slash; null until `repository` in package.json is filled in. */
export const DOCS: string | null = docsAddress(typeof repository === 'string' ? repository : repository?.url);

/** The docs of a repository, such as npm's `git+https://host/owner/name.git`; null if a browser cannot open it. */
export function docsAddress(url: string | undefined): string | null {
  const match = /^(?:git\+)?(https:\/\/[^\s?#]+?)(?:\.git)?\/?$/.exec(url ?? '');
  return match === null ? null : `${match[1]}/blob/main/docs`;
}
