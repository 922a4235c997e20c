// The packages in the bundle: those with a file in it, by esbuild's metadata, which scripts/build.ts writes outside of
// dist. Versions and licences come from package-lock.json.
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('..', import.meta.url));

/** The list of node_modules' files in the bundle, as paths below the root. Each build writes it. */
export const BUNDLED_FILES = `${ROOT}.cache/bundled-files.json`;

export interface BundledPackage {
  readonly name: string;
  readonly version: string;
  /** An SPDX identifier or expression. */
  readonly license: string;
  /** As in package-lock.json: `sha512-` and the hash of the tarball in base64. */
  readonly integrity: string;
  /** The path where it is installed. */
  readonly directory: string;
}

type Locked = Readonly<Partial<Record<'version' | 'license' | 'integrity', string>>>;

/** Sorted by name. Throws if there was no build, if it holds no package, or if a package's data is incomplete. */
export async function bundledPackages(): Promise<BundledPackage[]> {
  const files = JSON.parse(
    await readFile(BUNDLED_FILES, 'utf8').catch(() => {
      throw new Error('nothing was built: run node scripts/build.ts first');
    }),
  ) as readonly string[];
  const { packages } = JSON.parse(await readFile(`${ROOT}package-lock.json`, 'utf8')) as {
    readonly packages: Readonly<Record<string, Locked>>;
  };
  const paths = new Set(files.map(packagePath).filter((path) => path !== undefined));
  if (paths.size === 0) throw new Error('the bundle holds no package: the account of its files is wrong');
  return [...paths].sort().map((path) => {
    const { version, license, integrity } = packages[path] ?? {};
    if (version === undefined || license === undefined || integrity === undefined) {
      throw new Error(`package-lock.json has no version, licence or hash for ${path}: run npm install`);
    }
    const name = path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length);
    return { name, version, license, integrity, directory: `${ROOT}${path}` };
  });
}

/**
 * `node_modules/a/node_modules/@b/c` for a file of that package, undefined for our own files. Anything before the first
 * node_modules is dropped: if node_modules is a link, esbuild names its target.
 */
export function packagePath(file: string): string | undefined {
  return /(?:^|\/)(node_modules\/(?:.*\/node_modules\/)?(?:@[^/]+\/)?[^/]+)\//.exec(file)?.[1];
}
