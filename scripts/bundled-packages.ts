// The packages that are in the bundle: those that a file of it came from, by esbuild's own account, which scripts/build.ts
// leaves outside of dist. Versions and licences are package-lock.json's.
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('..', import.meta.url));

/** The files of node_modules that the bundle holds, as paths below the root. Written by each build. */
export const BUNDLED_FILES = `${ROOT}.cache/bundled-files.json`;

export interface BundledPackage {
  readonly name: string;
  readonly version: string;
  /** An SPDX identifier or expression. */
  readonly license: string;
  /** As package-lock.json has it: `sha512-` and the hash of the tarball in base64. */
  readonly integrity: string;
  /** Where it is installed. */
  readonly directory: string;
}

type Locked = Readonly<Partial<Record<'version' | 'license' | 'integrity', string>>>;

/** Sorted by name. Throws where there was no build, where it holds no package, and where one is not told whole. */
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
 * `node_modules/a/node_modules/@b/c` for a file of that package, undefined for our own files. What precedes the first
 * node_modules is left out: where that is a link, esbuild names what it points at.
 */
export function packagePath(file: string): string | undefined {
  return /(?:^|\/)(node_modules\/(?:.*\/node_modules\/)?(?:@[^/]+\/)?[^/]+)\//.exec(file)?.[1];
}
