// Ways in which people and programs change a file under a running proxy.
import { rename, writeFile } from 'node:fs/promises';

let writes = 0;

/** The way of careful tools: a new file, moved over the old one. */
export async function replaceFile(path: string, content: string): Promise<void> {
  const beside = `${path}.new-${writes++}`;
  await writeFile(beside, content);
  await rename(beside, path);
}
