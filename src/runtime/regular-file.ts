import { stat } from 'node:fs/promises';

/** False for something that exists and is not a regular file: reading it could block forever. */
export async function canBeRead(path: string): Promise<boolean> {
  return stat(path).then(
    (stats) => stats.isFile(),
    () => true,
  );
}
