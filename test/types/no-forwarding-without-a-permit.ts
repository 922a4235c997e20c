// Checked by the compiler alone (`npx tsc`), never run: each line below `@ts-expect-error` must not compile, or tsc
// fails. Forwarding takes a permit. Only a verdict holds one, and no other code can create one.
import type { Permit } from '../../src/core/permit.ts';
import * as permits from '../../src/core/permit.ts';

declare function send(permit: Permit): void;
declare const lookAlike: { [Field in keyof Permit]: Permit[Field] };
declare const input: Parameters<typeof permits.verdictOf>[0];
declare const route: Parameters<typeof permits.permitForward>[0];

export function forwards(): void {
  const verdict = permits.verdictOf(input);
  if ('permit' in verdict) send(verdict.permit);
  const open = permits.permitForward(route);
  if (open !== null) send(open);
}

export function doesNotCompile(): void {
  // @ts-expect-error: a permit is required
  send();
  // @ts-expect-error: an object with the same fields is not a permit
  send(lookAlike);
  // @ts-expect-error: the class is exported as a type only
  new permits.Permit(lookAlike);
  // @ts-expect-error: a verdict may be a refusal
  send(permits.verdictOf(input).permit);
  // @ts-expect-error: a route may not be a forward route
  send(permits.permitForward(route));
  // @ts-expect-error: report mode does not let every reason through
  send(permits.permitReported(route, 0, { reason: 'overloaded', body: null }));
  const open = permits.permitForward(route);
  // @ts-expect-error: a permit is read-only
  if (open !== null) open.decision = 'accepted';
}
