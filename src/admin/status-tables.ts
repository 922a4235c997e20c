// The tables of the status page. State is always a word, never a colour alone.

import { SIZE } from '../config/units.ts';
import { REASONS } from '../core/decision.ts';
import { reports } from '../core/routes.ts';
import type { State } from './advice.ts';
import { type Html, html } from './html.ts';
import { secretVerdict } from './secret-verdict.ts';
import type {
  DeferredDelivery,
  RefusalGroup,
  RouteStatus,
  SecretStatus,
  StatusSnapshot,
  Undelivered,
} from './status-snapshot.ts';
import { spanText, when } from './times.ts';

interface Table<Row> {
  readonly id: string;
  readonly title: string;
  readonly caption: string;
  /** Shown instead of an empty table; without it the section is omitted. */
  readonly none?: string;
  /** The column that names the row. */
  readonly name?: string;
  readonly columns: Readonly<Record<string, (row: Row, s: StatusSnapshot) => Html | string | number>>;
}

export function tables(s: StatusSnapshot): Html {
  return html`${section(UNDELIVERED, s.undelivered, s)}
${section(DEFERRED, s.deferred?.deliveries ?? [], s)}
${section(ROUTES, s.routes, s)}
${section(SECRETS, s.secrets, s)}
${section(REFUSALS, s.refusals, s)}`;
}

function section<Row>(table: Table<Row>, rows: readonly Row[], s: StatusSnapshot): Html | null {
  const { id, title, caption, none, name } = table;
  if (rows.length === 0 && none === undefined) return null;
  const columns = Object.entries(table.columns);
  const cell = (head: string, value: Html | string | number) =>
    head === name ? html`<th scope="row"><code>${value}</code></th>` : html`<td data-label="${head}">${value}</td>`;
  const lines = rows.map((row) => html`<tr>${columns.map(([head, of]) => cell(head, of(row, s)))}</tr>`);
  const content =
    rows.length === 0
      ? html`<p>${none}</p>`
      : html`<table><caption>${caption}</caption>
<thead><tr>${columns.map(([head]) => html`<th scope="col">${head}</th>`)}</tr></thead>
<tbody>${lines}</tbody></table>`;
  return html`<section aria-labelledby="${id}"><h2 id="${id}">${title}</h2>${content}</section>`;
}

export function pill(state: State, text: string): Html {
  const mark = { ok: '●', warning: '▲', failed: '✕' }[state];
  return html`<span class="pill ${state}"><span aria-hidden="true">${mark}</span> ${text}</span>`;
}

const ROUTES: Table<RouteStatus> = {
  id: 'routes',
  title: 'Routes',
  caption: 'The longest path wins; unmatched is for paths that no route matches.',
  name: 'Path',
  columns: {
    Path: ({ path }) => path,
    Action: ({ action }) => action,
    Mode: (route, { now }) => (route.action === 'verify' ? modeOf(route, now) : '–'),
    Methods: ({ methods }) => methods?.join(', ') ?? 'all',
    Secrets: (route) => (route.action === 'verify' ? secretsOf(route) : '–'),
    'The app': answersOf,
    Limits: limitsOf,
  },
};

function modeOf(route: RouteStatus, now: number): Html {
  if (!reports(route, now)) return pill('ok', 'enforces');
  const until =
    route.reportUntil === null ? null : html` <span class="soft">ends ${when(route.reportUntil, now)}</span>`;
  return html`${pill('warning', 'reports')}${until}`;
}

function secretsOf(route: RouteStatus): Html {
  if (route.liveSecrets === 0) return pill('failed', 'none live');
  return html`${route.liveSecrets} live <span class="soft">of ${route.secretIds.join(', ')}</span>`;
}

/** The answers since the start, and the last delivery that the app took. */
function answersOf({ action, traffic: { answers, lastTaken } }: RouteStatus, { now }: StatusSnapshot): Html | string {
  const given = Object.entries(answers).filter(([, amount]) => amount > 0);
  const taken = lastTaken === null ? null : html`<p class="soft">took the last delivery ${when(lastTaken, now)}</p>`;
  if (given.length > 0) return html`${given.map(([code, amount]) => `${amount} × ${code}`).join(', ')}${taken}`;
  return action === 'reject' ? '–' : 'no answer yet';
}

function limitsOf({ maxBody, query, once, redeliver }: RouteStatus): string {
  const limits = [
    ...(maxBody === null ? [] : [`body ${SIZE.format(maxBody)}`]),
    ...(query === 'refuse' ? ['no query'] : []),
    ...(once === null ? [] : [`once per ${spanText(once)}`]),
    ...(redeliver === null ? [] : [`sent again for ${spanText(redeliver)}`]),
  ];
  return limits.join(', ') || '–';
}

const SECRETS: Table<SecretStatus> = {
  id: 'secrets',
  title: 'Secrets',
  caption: 'All live secrets are tried. In a rotation, watch the last match move from the old one to the new one.',
  none: 'No secret is configured.',
  name: 'Id',
  columns: {
    Id: ({ id }) => id,
    State: stateOf,
    'Last match': ({ lastMatch }, { now }) => (lastMatch > 0 ? when(lastMatch * 1000, now) : 'not since the start'),
    Valid: validity,
    Verdict: secretVerdict,
    'Read from': ({ source }) => source,
  },
};

const SECRET_STATES = { live: 'ok', not_yet: 'warning', expired: 'warning', unusable: 'failed' } as const;

function stateOf({ state, problem }: SecretStatus): Html {
  return html`${pill(SECRET_STATES[state], state.replace('_', ' '))}${problem === null ? null : html`<p>${problem}</p>`}`;
}

function validity({ notBefore, notAfter }: SecretStatus, { now }: StatusSnapshot): Html | string {
  const from = notBefore !== null && notBefore > now ? html`begins ${when(notBefore, now)} ` : null;
  const until = notAfter === null ? null : html`${notAfter > now ? 'ends' : 'ended'} ${when(notAfter, now)}`;
  return from === null && until === null ? 'no end' : html`${from}${until}`;
}

/** Omitted when empty: an empty table of losses would worry people. */
const UNDELIVERED: Table<Undelivered> = {
  id: 'undelivered',
  title: 'Deliveries that may be lost',
  caption:
    'Verified but not delivered: Entrupy documents no retry. Body is the start of its SHA-256, to find the event again (docs/alerts.md).',
  columns: {
    When: ({ at }, { now }) => when(at, now),
    Request: ({ path, route }) => html`<code>${path}</code><p class="soft">route ${route}</p>`,
    Answer: ({ status }) => status,
    Cause: ({ cause, upstreamError, hint }) => {
      const detail = upstreamError ?? hint;
      return detail === null ? cause : `${cause} (${detail})`;
    },
    Body: ({ bodySha256 }) => (bodySha256 === null ? 'unknown' : html`<code>${bodySha256}</code>`),
    Client: ({ client }) => html`<code>${client}</code>`,
  },
};

const DEFERRED: Table<DeferredDelivery> = {
  id: 'deferred',
  title: 'Deferred deliveries',
  caption:
    'The app did not take them; they are stored and sent again. At most 50 are shown, those with the soonest turn first. entrupy-signature-proxy deferred lists all of them (docs/redelivery.md).',
  columns: {
    Came: ({ at }, { now }) => when(at, now),
    Event: (event) => html`<code>${event.id}</code><p class="soft">${routeOf(event)}</p>`,
    State: ({ state }) => pill(DEFERRED_STATES[state], state),
    'Sent again': ({ attempts }) => attempts,
    'Last failure': ({ lastFailure }) => (lastFailure === '' ? 'not read yet' : lastFailure),
    'Next try': nextTryOf,
  },
};

function routeOf({ route, state }: DeferredDelivery): string {
  if (route !== null) return `route ${route}`;
  return state === 'unverified' ? 'no known route' : 'not read yet';
}

function nextTryOf({ state, nextTry }: DeferredDelivery, { now, deferred }: StatusSnapshot): Html | string {
  if (state === 'unverified') return 'once it can be verified';
  if (nextTry === null) return 'only when asked';
  if (deferred?.sends !== true) return 'not while no route has redeliver';
  return nextTry <= now ? 'when it is its turn' : when(nextTry, now);
}

const DEFERRED_STATES = { waiting: 'ok', stopped: 'warning', unverified: 'failed' } as const;

const REFUSALS: Table<RefusalGroup> = {
  id: 'refusals',
  title: 'Recent refusals',
  caption:
    'Grouped by reason, route and client, newest first; each group shows its last request. Queries, header values and bodies are never kept.',
  none: 'None since the start.',
  columns: {
    Last: ({ at }, { now }) => when(at, now),
    Count: ({ count, others }) =>
      others === 0 ? count : html`${count}<p class="soft">and ${others} of groups not shown any more</p>`,
    Request: ({ method, path, route }) => html`<code>${method} ${path}</code><p class="soft">route ${route}</p>`,
    Answer: (refusal) => html`${refusal.status} ${outcomeOf(refusal)}`,
    Why: whyOf,
    Client: ({ client }) => html`<code>${client}</code>`,
  },
};

function outcomeOf({ decision, upstreamFailure }: RefusalGroup): Html {
  if (decision === 'reported') return pill('warning', 'forwarded');
  return pill('failed', upstreamFailure === null ? 'refused' : 'upstream failed');
}

function whyOf({ reason, hint, rule, header, upstreamFailure, upstreamError }: RefusalGroup): Html {
  const meaning = reason === 'none' ? null : html`<code>${reason}</code><p>${REASONS[reason].meaning}</p>`;
  const name = header === null ? null : html`, header <code>${header}</code>`;
  const broken = rule === null ? null : html`<p>Rule <code>${rule}</code>${name}.</p>`;
  const code = upstreamError === null ? '' : ` (${upstreamError})`;
  const upstream =
    upstreamFailure === null ? null : html`<p>The upstream gave no complete response: ${upstreamFailure}${code}.</p>`;
  const label = rule === null ? 'Likely cause:' : 'To let it pass:';
  const likely = hint === null ? null : html`<p><strong>${label}</strong> ${hint}</p>`;
  return html`${meaning}${broken}${upstream}${likely}`;
}
