// Deliveries in a directory that the running proxy does not read, since no route has `redeliver` any more. A Redis is not
// asked: that needs its password.
import { readFile } from 'node:fs/promises';
import { PAGES } from '../../admin/advice-pages.ts';
import { STATE_DIRECTORY } from '../../base/default-paths.ts';
import { type Line, warning } from './status-lines.ts';

/** Null if there are none, or it cannot be known. `file`: the configuration. */
export async function deferredLine(file: string | null): Promise<Line | null> {
  const store = await configuredStore(file);
  if (!store.startsWith('/')) return null;
  const waiting = await count(store).catch(() => 0); // there is no such directory, or it is not ours to read
  if (waiting === 0) return null;
  const many = waiting === 1 ? '1 deferred delivery waits' : `${waiting} deferred deliveries wait`;
  const message = `${many} in ${store}, and nothing is sent, since no route has redeliver.`;
  const remedy = 'Give a route redeliver, or drop them: entrupy-signature-proxy deferred.';
  return warning('redelivery', { message, remedy, page: PAGES.redelivery });
}

async function configuredStore(file: string | null): Promise<string> {
  const text = file === null ? '' : await readFile(file, 'utf8').catch(() => '');
  if (!text.includes('redelivery')) return STATE_DIRECTORY;
  const { looseValue } = await import('../../config/yaml.ts');
  const store = looseValue(text, ['redelivery', 'store']);
  return typeof store === 'string' ? store : STATE_DIRECTORY;
}

async function count(store: string): Promise<number> {
  const { createDirectoryStore } = await import('../../redelivery/stores/directory.ts');
  const visitor = await createDirectoryStore(
    {
      store,
      name: '',
      passwordFile: null,
      readPassword: async () => '',
      maxBytes: Number.MAX_SAFE_INTEGER,
      mostBytes: () => 0, // nothing is read but the names
      as: 'visitor',
      onRemark: () => {},
    },
    () => {},
  );
  try {
    return (await visitor.list()).entries.length;
  } finally {
    await visitor.close();
  }
}
