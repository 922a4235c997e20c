// A directory of secrets or of configuration as the kubelet keeps it: files are links to `..data/<name>`, `..data` is a
// link to a directory named by date, and a change swaps that one link
// (https://github.com/kubernetes/kubernetes/blob/master/pkg/volume/util/atomic_writer.go).
import { mkdir, readdir, readlink, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

let swaps = 0;

/** Writes the directory, or swaps its whole content: names to contents, all at once. Unnamed files disappear. */
export async function kubeletWrites(directory: string, files: Readonly<Record<string, string>>): Promise<void> {
  await mkdir(directory, { recursive: true });
  const data = join(directory, '..data');
  const before = await readlink(data).catch(() => null);
  const generation = `..2026_11_24_08_12_${String(swaps++).padStart(2, '0')}.${process.pid}`;
  await mkdir(join(directory, generation));
  for (const [name, content] of Object.entries(files)) await writeFile(join(directory, generation, name), content);
  await symlink(generation, join(directory, '..data_tmp'));
  await rename(join(directory, '..data_tmp'), data);
  for (const name of Object.keys(files)) {
    await symlink(join('..data', name), join(directory, name)).catch(ignoreExisting);
  }
  if (before === null) return;
  // Links to removed files dangle for a moment, as under the kubelet.
  for (const name of await readdir(join(directory, before))) {
    if (!(name in files)) await rm(join(directory, name), { force: true });
  }
  await rm(join(directory, before), { recursive: true });
}

function ignoreExisting(error: NodeJS.ErrnoException): void {
  if (error.code !== 'EEXIST') throw error;
}
