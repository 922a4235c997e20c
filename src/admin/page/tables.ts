// The tables of the status page. State is always a word, never a colour alone.
import { labelled, OF_ROUTE } from '../../config/schema-problems.ts';
import type { DeferredDelivery, SecretFacts } from '../../facts.ts';
import type { ApiStatus } from '../../health/health.ts';
import type { RefusalGroup, Undelivered } from '../../health/recent-requests.ts';
import { secretVerdict } from '../../health/secret-findings.ts';
import { reasonText } from '../../health/sentences.ts';
import { type Html, html, pill, when } from './html.ts';

interface Table<Row> {
  readonly id: string;
  readonly title: string;
  readonly caption: string;
  /** The text shown instead of an empty table; if there is no such text, an empty table's section is omitted. */
  readonly none?: string;
  /** The column that names the row. */
  readonly name?: string;
  readonly columns: Readonly<Record<string, (row: Row, s: ApiStatus) => Html | string | number>>;
}

export function tables(s: ApiStatus): Html {
  return html`${section(lostTable(s), s.undelivered, s)}
${section(DEFERRED, s.deferred?.deliveries ?? [], s)}
${section(ROUTES, s.routes, s)}
${section(SECRETS, s.secrets, s)}
${section(REFUSALS, s.refusals, s)}`;
}

function section<Row>(table: Table<Row>, rows: readonly Row[], s: ApiStatus): Html | null {
  const { id, title, caption, none, name } = table;
  if (rows.length === 0 && none === undefined) return null;
  const columns = Object.entries(table.columns);
  const cell = (head: string, value: Html | string | number) =>
    head === name ? html`<th scope="row"><code>${value}</code></th>` : html`<td data-label="${head}">${value}</td>`;
  const lines = rows.map((row) => html`<tr>${columns.map(([head, of]) => cell(head, of(row, s)))}</tr>`);
  const whole = html`<table><caption>${caption}</caption>
<thead><tr>${columns.map(([head]) => html`<th scope="col">${head}</th>`)}</tr></thead>
<tbody>${lines}</tbody></table>`;
  const content = rows.length === 0 ? html`<p>${none}</p>` : whole;
  return html`<section aria-labelledby="${id}"><h2 id="${id}">${title}</h2>${content}</section>`;
}

type RouteStatus = ApiStatus['routes'][number];

const ROUTES: Table<RouteStatus> = {
  id: 'routes',
  title: 'Routes',
  caption: 'The longest path wins; unmatched is for paths that no route matches.',
  name: 'Path',
  columns: {
    Path: ({ path }) => path,
    Action: ({ action }) => action,
    Mode: ({ action, mode }) => (action === 'verify' ? MODES[mode] : '–'),
    Settings: settingsOf,
    Secrets: secretsOf,
    'Last taken': ({ traffic: { lastTaken } }, { now }) => (lastTaken === null ? '–' : when(lastTaken, now)),
  },
};

/** The settings of a route, as check-config prints them. */
function settingsOf({ action, methods, maxBody, query, reportUntil, once, redeliver }: RouteStatus): string {
  const settings = action === 'verify' ? { methods, maxBody, query, reportUntil, once, redeliver } : { methods };
  return Array.from(labelled(settings, OF_ROUTE), (setting) => setting.join(' ')).join('; ');
}

const MODES = { report: pill('warning', 'reports'), enforce: pill('ok', 'enforces') } as const;

function secretsOf({ action, liveSecrets, secretIds }: RouteStatus): Html | string {
  if (action !== 'verify') return '–';
  if (liveSecrets === 0) return pill('failed', 'none live');
  return html`${liveSecrets} live <span class="soft">of ${secretIds.join(', ')}</span>`;
}

const SECRETS: Table<SecretFacts> = {
  id: 'secrets',
  title: 'Secrets',
  caption: 'All live secrets are tried. In a rotation, watch the last match move from the old one to the new one.',
  none: 'No secret is configured.',
  name: 'Id',
  columns: {
    Id: ({ id }) => id,
    State: ({ state }) => pill(SECRET_STATES[state], state.replace('_', ' ')),
    'Last match': ({ lastMatch }, { now }) => (lastMatch > 0 ? when(lastMatch * 1000, now) : 'no fresh delivery yet'),
    Valid: validity,
    Verdict: (secret, s) => secretVerdict(secret, s),
    'Read from': ({ source }) => source,
  },
};

const SECRET_STATES = { live: 'ok', not_yet: 'warning', expired: 'warning', unusable: 'failed' } as const;

function validity({ notBefore, notAfter }: SecretFacts, { now }: ApiStatus): Html | string {
  const from = notBefore !== null && notBefore > now ? html`begins ${when(notBefore, now)} ` : null;
  const until = notAfter === null ? null : html`${notAfter > now ? 'ends' : 'ended'} ${when(notAfter, now)}`;
  return from === null && until === null ? 'no end' : html`${from}${until}`;
}

/** The table of losses. It is omitted when empty, since an empty one would worry people. */
const lostTable = ({ lost: { failed, abandoned } }: ApiStatus): Table<Undelivered> => ({
  id: 'undelivered',
  title: 'Deliveries that may be lost',
  caption: `${failed + abandoned} of the last day, or since a later start: ${failed} failed, ${abandoned} abandoned by their sender. The newest come first, 20 at most. Entrupy documents no retry. Body is the start of its SHA-256, to find the event again (docs/alerts.md).`,
  columns: {
    When: ({ at }, { now }) => when(at, now),
    Request: ({ path, route }) => html`<code>${path}</code><p class="soft">route ${route}</p>`,
    Fate: ({ fate }) => fate,
    Answer: ({ status }) => status,
    Cause: ({ cause, upstreamError, hint }) => {
      const detail = upstreamError ?? hint;
      return detail === null ? cause : `${cause} (${detail})`;
    },
    Body: ({ bodySha256 }) => (bodySha256 === null ? 'unknown' : html`<code>${bodySha256}</code>`),
    Client: ({ client }) => html`<code>${client}</code>`,
  },
});

const DEFERRED: Table<DeferredDelivery> = {
  id: 'deferred',
  title: 'Deferred deliveries',
  caption:
    'The app did not take them; they are stored, and those that wait are sent again. At most 50 are shown, those with the soonest turn first. entrupy-signature-proxy deferred lists all of them (docs/redelivery.md).',
  columns: {
    Came: ({ at }, { now }) => (at === null ? '–' : when(at, now)),
    Event: ({ id, route }) =>
      html`<code>${id}</code><p class="soft">${route === null ? 'no known route' : `route ${route}`}</p>`,
    State: ({ state }) => pill(DEFERRED_STATES[state], state),
    'Sent again': ({ attempts }) => attempts ?? '–',
    'Last failure': ({ lastFailure }) => lastFailure,
    'Next try': ({ nextTry, keptUntil, sending }, { now }) => {
      if (sending) return 'being sent';
      if (keptUntil !== null) return html`when you ask; kept until ${when(keptUntil, now)}`;
      if (nextTry === null) return '–'; // not sent automatically
      return nextTry <= now ? 'when it is its turn' : when(nextTry, now);
    },
  },
};

const DEFERRED_STATES = { waiting: 'ok', stopped: 'warning', expired: 'failed', unverified: 'failed' } as const;

const REFUSALS: Table<RefusalGroup> = {
  id: 'refusals',
  title: 'Recent refusals',
  caption:
    'Grouped by reason, route and client, newest first; each group shows its last request. Queries, header values and bodies are never kept.',
  none: 'None since the start.',
  columns: {
    Last: ({ at }, { now }) => when(at, now),
    Count: ({ count }) => count,
    Request: ({ method, path, route }) => html`<code>${method} ${path}</code><p class="soft">route ${route}</p>`,
    Answer: (refusal) => html`${refusal.status} ${outcomeOf(refusal)}`,
    Why: explained,
    Client: ({ client }) => html`<code>${client}</code>`,
  },
};

function outcomeOf({ decision, upstreamFailure }: RefusalGroup): Html {
  if (decision === 'reported') return pill('warning', 'forwarded');
  return pill('failed', upstreamFailure === null ? 'refused' : 'upstream failed');
}

function explained(group: RefusalGroup): Html {
  const { reason, diagnosis, upstreamFailure, upstreamError } = group;
  const why = reason === 'none' ? null : html`<code>${reason}</code><p>${reasonText(group, group.hint)}.</p>`;
  const code = upstreamError === null ? '' : ` (${upstreamError})`;
  const upstream =
    upstreamFailure === null ? null : html`<p>The upstream gave no complete response: ${upstreamFailure}${code}.</p>`;
  return html`${why}${upstream}${diagnosis === null ? null : html`<p class="soft">${diagnosis}</p>`}`;
}
