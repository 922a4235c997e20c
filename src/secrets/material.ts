// A secret as it was read from its source.
import type { SecretSource } from '../config/config.ts';
import type { KeyReading } from './secret-value.ts';

/** A secret with the times of its source: epoch milliseconds, and `overlap` in milliseconds; null for none. */
export interface SecretMaterial extends KeyReading, Pick<SecretSource, 'notBefore' | 'notAfter' | 'overlap'> {
  /** Only a `secret` has an id. The others have no key: a directory that cannot be used, and a file with a bad name. */
  readonly kind: 'secret' | 'directory' | 'misnamed';
  /** The id, or a label for people: `directory <path>`, `file "<name>"`. */
  readonly id: string;
  /** `file <path>`, `env <name>` or `env (name hidden)`, `directory <path>` or `replaced value of <id>`. */
  readonly source: string;
  /** When a reload adopted this value, in epoch milliseconds; null for the values of the start. */
  readonly adoptedAt: number | null;
}
