// A request as the status page and /api/status show it: texts that a client chose are shortened; query,
// header values and body are left out.
import { shortened } from '../base/printable.ts';
import { diagnosisOf } from '../core/request-diagnosis.ts';
import { type RequestRecord, shownPath } from '../core/request-record.ts';
import type { Diagnosis } from '../health/diagnoses.ts';

type Whole = 'route' | 'status' | 'decision' | 'reason' | 'rule' | 'fate' | 'bodySha256';
type Upstream = 'upstreamStatus' | 'upstreamFailure' | 'upstreamError';

export interface ShownRequest extends Pick<RequestRecord, Whole | Upstream | 'method' | 'path' | 'client' | 'header'> {
  readonly at: number;
  /** The problem, and its likely cause in words; each null if not known. */
  readonly diagnosis: Diagnosis | null;
  readonly hint: string | null;
  /** The id of the secret outside its dates that signed the request; null if none is known. */
  readonly secret: string | null;
}

export function shownOf(record: RequestRecord, at: number): ShownRequest {
  const { route, status, decision, reason, rule, fate, bodySha256, header, hint } = record;
  const { upstreamStatus, upstreamFailure, upstreamError } = record;
  return {
    ...{ at, route, status, decision, reason, rule, fate, bodySha256 },
    ...{ upstreamStatus, upstreamFailure, upstreamError },
    method: shortened(record.method, 32),
    path: shownPath(record.path),
    client: shortened(record.client, 64),
    header: header === null ? null : shortened(header, 128),
    diagnosis: diagnosisOf(record),
    hint: hint === null ? null : shortened(hint.text, 512),
    secret: hint?.secret ?? null,
  };
}
