// The facts of one request that a sentence on its diagnosis says, written in place: an outcome allocates nothing.
import type { RequestRecord } from '../core/request-record.ts';

type Upstream = 'upstreamStatus' | 'upstreamFailure' | 'upstreamError' | 'departedMs';
type Refusal = 'decision' | 'reason' | 'hint' | 'rule' | 'header' | 'renamedHeader';

/** Texts are not shortened yet. They may keep a head in memory: there are only so many details, one a diagnosis. */
export type Detail = Pick<RequestRecord, 'route' | 'path' | 'client' | 'fate' | Refusal | Upstream>;

export class LastDetail implements Detail {
  route = '';
  path = '';
  client = '';
  decision: Detail['decision'] = 'rejected';
  reason: Detail['reason'] = 'none';
  hint: Detail['hint'] = null;
  rule: Detail['rule'] = null;
  header: Detail['header'] = null;
  fate: Detail['fate'] = 'none';
  upstreamStatus = 0;
  upstreamFailure: Detail['upstreamFailure'] = null;
  upstreamError: Detail['upstreamError'] = null;
  departedMs = -1;
  renamedHeader: Detail['renamedHeader'] = null;

  set(record: Detail): void {
    // Hints are rate-limited, so an earlier one stays.
    this.hint = record.hint ?? this.hint;
    this.route = record.route;
    this.path = record.path;
    this.client = record.client;
    this.decision = record.decision;
    this.reason = record.reason;
    this.rule = record.rule;
    this.header = record.header;
    this.fate = record.fate;
    this.upstreamStatus = record.upstreamStatus;
    this.upstreamFailure = record.upstreamFailure;
    this.upstreamError = record.upstreamError;
    this.departedMs = record.departedMs;
    this.renamedHeader = record.renamedHeader;
  }
}
