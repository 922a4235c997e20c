// A store of deferred deliveries in a process of its own, which a test stops and kills. It answers each line of standard
// input, a method and an id, with one line of JSON: `failed` while it is not connected.
import { Buffer } from 'node:buffer';
import { createInterface } from 'node:readline';
import { openStore } from '../../../src/redelivery/stores/open-store.ts';
import type { Claim } from '../../../src/redelivery/stores/store.ts';

const [url = '', name = ''] = process.argv.slice(2);

const store = await openStore(
  {
    ...{ store: url, name, passwordFile: null, readPassword: () => Promise.reject(new Error('there is none')) },
    ...{ maxBytes: 1024 * 1024, mostBytes: () => 210_000, as: 'owner', onRemark: () => {} },
  },
  () => {},
);

const claims = new Map<string, Claim>();
const NONE: Claim = { id: '', token: 'none' };
const answer = (value: unknown) => process.stdout.write(`${JSON.stringify({ answer: value })}\n`);

async function done(method: string, id: string): Promise<unknown> {
  switch (method) {
    case 'claim': {
      const claimed = await store.claim(id);
      if (claimed.kind === 'claimed') claims.set(id, claimed.claim);
      return claimed.kind;
    }
    case 'remove':
      return await store.remove(claims.get(id) ?? NONE);
    case 'release':
      return (await store.release(claims.get(id) ?? NONE, Buffer.from('late'))) ?? 'released';
    default:
      throw new Error(`there is no method ${method}`);
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  const [method = '', id = ''] = line.split(' ');
  answer(await done(method, id).catch(() => 'failed'));
}
await store.close();
