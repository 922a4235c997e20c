// A request as the status page and /api/status show it: texts that a client chose are shortened; query,
// header values and body are left out.
import { shortened } from '../base/printable.ts';
import { diagnosisOf } from '../core/request-diagnosis.ts';
import { type RequestRecord, shownPath } from '../core/request-record.ts';

export type ShownRequest = Readonly<ReturnType<typeof shownOf>>;

export function shownOf(record: RequestRecord, at: number) {
  const { header, hint } = record;
  return {
    at,
    route: record.route,
    method: shortened(record.method, 32),
    path: shownPath(record.path),
    client: shortened(record.client, 64),
    status: record.status,
    decision: record.decision,
    reason: record.reason,
    rule: record.rule,
    header: header === null ? null : shortened(header, 128),
    fate: record.fate,
    bodySha256: record.bodySha256,
    upstreamStatus: record.upstreamStatus,
    upstreamFailure: record.upstreamFailure,
    upstreamError: record.upstreamError,
    diagnosis: diagnosisOf(record),
    /** The likely cause in words. */
    hint: hint === null ? null : shortened(hint.text, 512),
    /** The id of the secret outside its dates that signed the request. */
    secret: hint?.secret ?? null,
  };
}
