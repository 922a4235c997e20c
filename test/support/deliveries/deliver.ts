// One signed delivery.
import { post } from '../load/load.ts';
import { value } from '../proxy/proxied.ts';
import { sign } from './signer.ts';

export const BODY = '{"event":1}';

/** The status of a delivery signed with the value of that name. */
export async function deliver({ url }: { readonly url: string }, name: string, path = '/notify'): Promise<number> {
  const headers = { 'Entrupy-Signature': sign(value(name), BODY) };
  return (await post({ url: url + path, body: BODY, headers })).status;
}
