// The tables of the status page: routes and secrets (status-refusals.ts has the rest). State is always a word, never a colour alone.
import { isReporting, type Tone } from './advice-parts.ts';
import { secretVerdict } from './advice-secrets.ts';
import { type Html, html } from './html.ts';
import type { RouteStatus, SecretState, SecretStatus, StatusSnapshot } from './status.ts';
import { sizeText, spanText, when } from './status-text.ts';

export function pill(tone: Tone, text: string): Html {
  const mark = { calm: '●', warn: '▲', bad: '✕' }[tone];
  return html`<span class="pill ${tone}"><span aria-hidden="true">${mark}</span> ${text}</span>`;
}

export function table(caption: string, heads: readonly string[], rows: readonly Html[]): Html {
  const head = heads.map((name) => html`<th scope="col">${name}</th>`);
  return html`<table><caption>${caption}</caption><thead><tr>${head}</tr></thead><tbody>${rows}</tbody></table>`;
}

export function cell(label: string, content: Html | string): Html {
  return html`<td data-label="${label}">${content}</td>`;
}

export function routesSection(s: StatusSnapshot): Html {
  const rows = s.routes.map((route) => routeRow(route, s.now));
  const heads = ['Path', 'Action', 'Mode', 'Methods', 'Secrets', 'Limits'];
  const caption = 'The longest path wins; unmatched is what no route takes.';
  return html`<section aria-labelledby="routes"><h2 id="routes">Routes</h2>${table(caption, heads, rows)}</section>`;
}

function routeRow(route: RouteStatus, now: number): Html {
  const verifies = route.action === 'verify';
  const limits = [
    ...(route.maxBody === null ? [] : [`body ${sizeText(route.maxBody)}`]),
    ...(route.query === 'refuse' ? ['no query'] : []),
    ...(route.once === null ? [] : [`once in ${spanText(route.once)}`]),
  ];
  return html`<tr><th scope="row"><code>${route.path}</code></th>
${cell('Action', route.action)}
${cell('Mode', verifies ? modeOf(route, now) : '–')}
${cell('Methods', route.methods === null ? 'all' : route.methods.join(', '))}
${cell('Secrets', verifies ? secretsOf(route) : '–')}
${cell('Limits', limits.length === 0 ? '–' : limits.join(', '))}</tr>`;
}

function modeOf(route: RouteStatus, now: number): Html {
  if (!isReporting(route, now)) return pill('calm', 'enforces');
  const until =
    route.reportUntil === null ? null : html` <span class="soft">ends ${when(route.reportUntil, now)}</span>`;
  return html`${pill('warn', 'reports')}${until}`;
}

function secretsOf(route: RouteStatus): Html {
  if (route.liveSecrets === 0) return pill('bad', 'none live');
  return html`${route.liveSecrets} live <span class="soft">of ${route.secretIds.join(', ')}</span>`;
}

const STATES: Readonly<Record<SecretState, readonly [Tone, string]>> = {
  live: ['calm', 'live'],
  not_yet: ['warn', 'not yet'],
  expired: ['warn', 'expired'],
  unusable: ['bad', 'unusable'],
};

export function secretsSection(s: StatusSnapshot): Html {
  const heads = ['Id', 'State', 'Last match', 'Valid', 'Verdict', 'Read from'];
  const caption =
    'All live secrets are tried. In a rotation, watch the last match move from the old one to the new one.';
  const content =
    s.secrets.length === 0
      ? html`<p>No secret is configured.</p>`
      : table(
          caption,
          heads,
          s.secrets.map((secret) => secretRow(secret, s)),
        );
  return html`<section aria-labelledby="secrets"><h2 id="secrets">Secrets</h2>${content}</section>`;
}

function secretRow(secret: SecretStatus, s: StatusSnapshot): Html {
  const { now } = s;
  const [tone, word] = STATES[secret.state];
  const problem = secret.problem === null ? null : html`<p>${secret.problem}</p>`;
  const match = secret.lastMatch > 0 ? when(secret.lastMatch * 1000, now) : 'not since the start';
  return html`<tr><th scope="row"><code>${secret.id}</code></th>
${cell('State', html`${pill(tone, word)}${problem}`)}
${cell('Last match', match)}
${cell('Valid', validity(secret, now))}
${cell('Verdict', secretVerdict(secret, s))}
${cell('Read from', secret.source)}</tr>`;
}

function validity({ notBefore, notAfter }: SecretStatus, now: number): Html | string {
  const from = notBefore !== null && notBefore > now ? html`begins ${when(notBefore, now)} ` : null;
  const until = notAfter === null ? null : html`${notAfter > now ? 'ends' : 'ended'} ${when(notAfter, now)}`;
  return from === null && until === null ? 'no end' : html`${from}${until}`;
}
