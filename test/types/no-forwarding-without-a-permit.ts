// Checked by the compiler alone (`npx tsc`), never run: each line below `@ts-expect-error` must not compile, or tsc fails.
// What forwards takes a permit; who has no verdict has no permit, and cannot make one up.
import type { Permit } from '../../src/core/permit.ts';
import * as permits from '../../src/core/permit.ts';

declare function send(permit: Permit): void;
declare const lookAlike: { [Field in keyof Permit]: Permit[Field] };
declare const input: Parameters<typeof permits.judge>[0];
declare const route: Parameters<typeof permits.permitForward>[0];

export function forwards(): void {
  const verdict = permits.judge(input);
  if ('permit' in verdict) send(verdict.permit);
  const open = permits.permitForward(route);
  if (open !== null) send(open);
}

export function doesNotCompile(): void {
  // @ts-expect-error: nothing is no permit
  send();
  // @ts-expect-error: nor is what only has a permit's fields
  send(lookAlike);
  // @ts-expect-error: the class is a type alone
  new permits.Permit(lookAlike);
  // @ts-expect-error: a verdict may be a refusal
  send(permits.judge(input).permit);
  // @ts-expect-error: a route may not be a forward route
  send(permits.permitForward(route));
  // @ts-expect-error: a reason may not be one that report mode lets by
  send(permits.permitReported(route, 0, { reason: 'overloaded', body: null }));
  const open = permits.permitForward(route);
  // @ts-expect-error: and a permit is never changed
  if (open !== null) open.decision = 'accepted';
}
