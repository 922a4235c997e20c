// What a piece of advice on the status page is, and the words that several pieces share.
import type { RouteStatus, StatusSnapshot } from './status.ts';

/** `bad`: deliveries fail now. `warn`: look at it. `calm`: nothing to do. */
export type Tone = 'bad' | 'warn' | 'calm';

export interface Advice {
  readonly tone: Tone;
  readonly sentence: string;
}

export const bad = (sentence: string): Advice => ({ tone: 'bad', sentence });
export const warn = (sentence: string): Advice => ({ tone: 'warn', sentence });

/** True while the route forwards what it would have refused. */
export function isReporting(route: RouteStatus, now: number): boolean {
  return (
    route.action === 'verify' && route.mode === 'report' && (route.reportUntil === null || route.reportUntil > now)
  );
}

export function lately(s: StatusSnapshot): string {
  return `in the last ${Math.round(s.recent.windowSeconds / 60)} minutes`;
}

export function count(amount: number, noun: string, plural = `${noun}s`): string {
  return `${amount} ${amount === 1 ? noun : plural}`;
}
