// Redelivery with the configured store: what runtime loads, once a route asks for it.
import type { RedeliveryParts } from './parts.ts';
import { mostHead } from './record.ts';
import { Redelivery } from './redelivery.ts';
import { openStore } from './stores/open-store.ts';
import type { StoreOptions } from './stores/store.ts';

export interface RedeliveryOptions extends Omit<RedeliveryParts, 'open' | 'name' | 'mostBytes'> {
  readonly store: Pick<StoreOptions, 'store' | 'name' | 'passwordFile' | 'readPassword' | 'maxBytes'>;
  /** The largest body of any route, in bytes. */
  readonly mostBody: () => number;
}

export function openRedelivery({ store, mostBody, ...parts }: RedeliveryOptions): Redelivery {
  // What the budget can never hold would wait for room without end.
  const mostBytes = () => Math.min(mostHead(parts.maxHeader()) + mostBody(), parts.budget.most);
  const onRemark: StoreOptions['onRemark'] = (message, fields) => parts.tell('warn', message, fields);
  return new Redelivery({
    ...parts,
    name: store.name,
    mostBytes,
    open: (onChange) => openStore({ ...store, mostBytes, as: 'owner', onRemark }, onChange),
  });
}
