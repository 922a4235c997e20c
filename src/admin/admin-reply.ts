// An answer of the admin port.
import type { OwnStatus } from '../core/answers.ts';

export interface AdminReply {
  readonly status: OwnStatus;
  readonly body: string;
  /** `Content-Type` is `application/json` by default. */
  readonly headers?: Readonly<Record<string, string>>;
}

export function json(status: OwnStatus, value: unknown): AdminReply {
  return { status, body: JSON.stringify(value) };
}
