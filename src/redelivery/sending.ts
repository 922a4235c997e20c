// One sending of a deferred delivery: a request without a client. It goes upstream the same way as any other, with a
// permit that the rules have just minted, but no metric of requests or of the upstream counts it.
import { ignore } from '../base/errors.ts';
import { type DeliveryClaim, fateOf, POISON_ATTEMPTS } from '../core/fate-by-status.ts';
import { eventOf } from '../core/request-record.ts';
import type { Reached, Requester, ResponseSink } from '../upstream/contract.ts';
import { UpstreamExchange } from '../upstream/upstream-exchange.ts';
import type { Went } from './pace.ts';
import type { Needs } from './process-parts.ts';
import type { Deferrable } from './record.ts';

/** Milliseconds for which a sending waits for an upstream slot, with its body in memory. */
const SLOT_WAIT_MS = 10_000;

interface Sent {
  readonly went: Went;
  /** The response's status, or a word such as `reset`: what a note keeps as `failure`. */
  readonly outcome: string;
  /** What the app answered; null if nothing was sent. */
  readonly answer: Pick<Requester, 'upstreamStatus' | 'upstreamFailure' | 'upstreamError'> | null;
}

const NOT_SENT: Sent = { went: 'not sent', outcome: '', answer: null };

/** Sends the request, if `once` lets it, and tells the judge, unless it is poison (`passed` of its note); never rejects. */
export async function send(
  { request, passed }: { readonly request: Deferrable; readonly passed: number },
  needs: Needs,
  shutdown: AbortSignal,
): Promise<Sent> {
  const sent = await claimAndSend(request, needs, shutdown);
  const { went, answer } = sent;
  const isUntaken = went === 'failed' || went === 'no connection';
  // One cut off because the process stops does not count: it could have been the delivery's last.
  if (went === 'not sent' || (isUntaken && shutdown.aborted)) return NOT_SENT;
  const again = { ...answer, route: request.route.path, event: eventOf(request.head) };
  if (went === 'taken' || passed < POISON_ATTEMPTS) needs.onSending({ ...again, fate: isUntaken ? 'failed' : went });
  return sent;
}

async function claimAndSend(request: Deferrable, needs: Needs, stop: AbortSignal): Promise<Sent> {
  const { route, head, body } = request;
  if (route.once === null) return sendNow(request, null, needs);
  const claimed = await needs.claims().claim({ head, body, window: route.once, until: 0, stop });
  if (claimed.kind === 'duplicate') return { ...NOT_SENT, went: claimed.kind };
  return claimed.kind === 'deliver' ? sendNow(request, claimed, needs) : NOT_SENT;
}

/** A route that stores has no times of its own (config/route-rules.ts), so those of `upstream` hold. */
async function sendNow({ head, lines, permit }: Deferrable, claim: DeliveryClaim | null, needs: Needs): Promise<Sent> {
  const { responseTimeout, idleTimeout } = needs.policy().settings;
  const requester: Requester = {
    from: 'store',
    head,
    reply: TO_NOBODY,
    receiver: null,
    onDeparture: ignore,
    interims: 0,
    upstreamMs: -1,
    upstreamStatus: 0,
    upstreamFailure: null,
    upstreamError: null,
  };
  const times = { patience: SLOT_WAIT_MS, responseTimeout, idleTimeout };
  const options = { lines, ...times, claim, deferrable: false, budget: needs.budget };
  const exchange = new UpstreamExchange(permit, requester, needs.upstream, options);
  const reached = await new Promise<Reached>((resolve) => exchange.send(resolve));
  const failure = reached.at === 'end' ? reached.failure : null;
  if (failure?.side === 'upstream') {
    const went = failure.cause === 'connect' ? 'no connection' : 'failed';
    return { went, outcome: failure.cause, answer: requester };
  }
  if (failure !== null) return NOT_SENT;
  const status = requester.upstreamStatus;
  const fate = fateOf({ how: 'not stored', failed: null, status });
  return { went: fate === 'taken' || fate === 'refused' ? fate : 'failed', outcome: `${status}`, answer: requester };
}

/** The sink for the response to a deferred delivery, which has no client: it discards everything. */
const TO_NOBODY: ResponseSink = {
  phase: 'begun', // `gone` would end the exchange
  unsent: 0,
  flush: () => true,
  onSent: (listener) => listener(),
  continue: ignore,
  inform: ignore,
  begin: ignore,
  data: ignore,
  cut: ignore,
  end: ignore,
};
