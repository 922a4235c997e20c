// A certificate for 127.0.0.1, in a directory of its own.
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createAuthority, type Pair } from './certificates.ts';

export interface LoopbackIdentity {
  readonly pair: Pair;
  /** The authority's certificate, PEM. */
  readonly ca: string;
  remove(): Promise<void>;
}

export async function createLoopbackIdentity(): Promise<LoopbackIdentity> {
  const directory = await mkdtemp(join(tmpdir(), 'entrupy-loopback-'));
  const authority = createAuthority(directory, 'authority');
  return {
    pair: authority.issue('loopback', { names: ['IP:127.0.0.1'] }),
    ca: readFileSync(authority.caFile, 'utf8'),
    remove: () => rm(directory, { recursive: true, force: true }),
  };
}
