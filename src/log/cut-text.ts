// How much of a client's text log and status page show.
import { pathOf } from '../core/targets.ts';

/** The path as log and status page show it: cut at 256, and at `?` even if the caller forgot to. */
export function shownPath(path: string): string {
  return pathOf(path.slice(0, 256));
}

/** Cuts a text that has no natural bound (a method, a hint) at `limit` UTF-16 units. */
export function shortened(text: string, limit: number): string {
  return text.length > limit ? `${text.slice(0, limit)}…` : text;
}
