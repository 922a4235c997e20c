// Why a request got 400 or 431 from the gate, for the operator alone: a rule of a closed set and the name of the header
// that broke it. No text made here may hold a header's value; a name is the client's to choose, so whoever shows it cuts it.
import { GATE, type GateRuleName } from './gate.ts';
import type { Head } from './head.ts';
import { type Route, refusesQuery, UNMATCHED } from './routes.ts';

/** Rules that other places hold than the gate's own table, with what each stops. */
export const OTHER_RULES = {
  'route-headers': 'a header that servers take for a variable or another target, and that the route does not let pass',
  query: 'a query, which no signature covers, on a route with `query: refuse`',
  parser: 'bytes that are no HTTP/1.1 request, before anything was read from them',
  'head-size': 'a head over `limits.maxHeader`, or with more lines than are taken',
} as const;

export type RuleName = GateRuleName | keyof typeof OTHER_RULES;

/** Every rule, the gate's first, with what it stops: what logs, the status page and `explain` can name. */
export const RULES: readonly (readonly [RuleName, string])[] = [
  ...GATE.map(({ name, stops }) => [name, stops] as const),
  ...(Object.entries(OTHER_RULES) as [keyof typeof OTHER_RULES, string][]),
];

export interface Refusal {
  readonly rule: RuleName;
  /** Lower case; null where no header is the cause. */
  readonly header: string | null;
  /** What would let it pass, or why nothing would. */
  readonly hint: string | null;
}

/** Before routing. */
export function refusedAtGate(head: Head): Refusal | null {
  for (const { name, header, refuses } of GATE) if (refuses(head)) return { rule: name, header, hint: null };
  return null;
}

/** Names with `_` and re-routing headers, on a route that does not let all of them pass by name. */
export function refusedForHeaders(head: Head, route: Route): Refusal | null {
  if (head.rerouting === null) return null;
  const unlisted = head.rerouting.filter((name) => !route.allowHeaders.includes(name));
  const [header] = unlisted;
  if (header === undefined) return null;
  const never = unlisted.find((name) => whyNeverAllowed(name) !== null);
  if (never === undefined) return { rule: 'route-headers', header, hint: allowHint([...new Set(unlisted)], route) };
  const hint = `no allowHeaders lets ${shown(never)} pass: ${whyNeverAllowed(never)}; have the proxy in front drop it`;
  return { rule: 'route-headers', header: never, hint };
}

const SHOWN_NAMES = 8;
const shown = (name: string) => (name.length > 64 ? `${name.slice(0, 64)}…` : name);

function allowHint(names: readonly string[], { path }: Route): string {
  const listed = names.slice(0, SHOWN_NAMES).map(shown).join(', ');
  const more = names.length > SHOWN_NAMES ? ' and others' : '';
  const where = path === UNMATCHED ? 'a route of its own with' : `route ${path} with`;
  return `${where} allowHeaders: [${listed}]${more} lets it pass, where the proxy in front sets it itself (docs/ingress.md)`;
}

/** After the route and before the method, whatever the mode. */
export function refusedForQuery(head: Head, route: Route): Refusal | null {
  if (!refusesQuery(route, head.target)) return null;
  return { rule: 'query', header: null, hint: `query: forward on route ${route.path} lets it pass, unsigned as it is` };
}

/** By folded name: what a server reads as one of these must stay at the gate, or be dropped as hop-by-hop. */
const NEVER_ALLOWED: ReadonlyMap<string, string> = new Map([
  ...['script-name', 'path-info'].map((name) => [name, 'servers take their path from it'] as const),
  ...['entrupy-signature'].map((name) => [name, 'servers read it as the signature'] as const),
  ...['host', 'content-length', 'content-type'].map((name) => [name, 'the gate reads it by itself'] as const),
  ...['connection', 'keep-alive', 'proxy-connection', 'te', 'trailer', 'transfer-encoding', 'upgrade', 'expect'].map(
    (name) => [name, 'it is hop-by-hop'] as const,
  ),
]);

/** Why no `allowHeaders` may name the header; null where one may. */
export function whyNeverAllowed(name: string): string | null {
  return NEVER_ALLOWED.get(name.toLowerCase().replace(/[_.]/g, '-')) ?? null;
}
