// The status page: one glance for whoever has no Grafana. Plain HTML and CSS made here, no script, nothing from outside;
// whatever a client or a file chose is escaped by html.ts.
import { adviceFor } from './advice.ts';
import type { Tone } from './advice-parts.ts';
import { Html, html } from './html.ts';
import type { StatusSnapshot } from './status.ts';
import { figures } from './status-figures.ts';
import { refusalsSection, undeliveredSection } from './status-refusals.ts';
import { STYLE } from './status-style.ts';
import { pill, routesSection, secretsSection } from './status-tables.ts';
import { when } from './status-text.ts';

const REFRESH_SECONDS = 5;

/** `refresh: false` for who wants to read in peace. */
export function renderStatusPage(s: StatusSnapshot, options: { refresh: boolean }): string {
  const refresh = options.refresh ? html`<meta http-equiv="refresh" content="${REFRESH_SECONDS}">` : null;
  const [tone, state] = stateOf(s);
  const page = html`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">${refresh}
<title>${titleOf(s, state)} · entrupy-signature-proxy</title><style>${new Html([STYLE], [])}</style></head>
<body><header><h1>entrupy-signature-proxy</h1>${pill(tone, state)}<p class="soft">${s.version}, started ${when(s.startedAt, s.now)}</p></header>
<main>${adviceList(s)}${figures(s)}${undeliveredSection(s)}${routesSection(s)}${secretsSection(s)}${refusalsSection(s)}${about(s)}</main>
<footer class="soft"><p>${refreshNote(options.refresh)}
Also <a href="/api/status">the same as JSON</a>, <a href="/metrics">metrics</a>, <a href="/readyz">readiness</a>.</p>
<p>Documentation: ${docsLinks(s)}.</p></footer>
</body></html>
`;
  return page.text;
}

function stateOf(s: StatusSnapshot): readonly [Tone, string] {
  if (s.draining) return ['warn', 'Draining'];
  return s.ready ? ['calm', 'Ready'] : ['bad', 'Not ready'];
}

const TONE_WORD: Readonly<Record<Tone, string>> = { calm: '● OK.', warn: '▲ Look at this.', bad: '✕ Act now.' };

/** Ready is not the same as well: the browser's tab tells the worst that there is. */
function titleOf(s: StatusSnapshot, state: string): string {
  const tone = adviceFor(s)[0]?.tone ?? 'calm';
  return tone === 'calm' ? state : `${TONE_WORD[tone].slice(0, -1)} · ${state}`;
}

function adviceList(s: StatusSnapshot): Html {
  const items = adviceFor(s).map(
    ({ tone, sentence }) => html`<li class="${tone}"><strong>${TONE_WORD[tone]}</strong> <span>${sentence}</span></li>`,
  );
  return html`<ul class="advice" aria-label="What to do">${items}</ul>`;
}

function about(s: StatusSnapshot): Html {
  const { file, sha256 } = s.config;
  return html`<section aria-labelledby="about"><h2 id="about">This proxy</h2><dl class="facts">
<dt>Upstream</dt><dd><code>${s.upstream.url}</code> ${reachability(s.upstream.reachable)}</dd>
<dt>Configuration</dt><dd>${file === null ? 'the environment alone' : html`<code>${file}</code> <span class="soft">sha256 ${sha256.slice(0, 12)}</span>`}</dd>
<dt>Last reload</dt><dd>${lastReload(s)}</dd>
<dt>Node</dt><dd>${s.nodeVersion}</dd>
</dl></section>`;
}

function reachability(reachable: boolean | null): Html {
  if (reachable === null) return html`<span class="soft">not tried of late</span>`;
  return reachable ? pill('calm', 'accepts connections') : pill('bad', 'accepts no connection');
}

function lastReload({ lastReload, now }: StatusSnapshot): Html {
  if (lastReload === null) return html`none since the start`;
  const outcome = lastReload.ok ? pill('calm', 'succeeded') : pill('bad', 'failed');
  const error = lastReload.error === null ? null : html`<p>${lastReload.error}</p>`;
  return html`${outcome} ${when(lastReload.at, now)}${error}`;
}

const PAGES: readonly (readonly [string, string])[] = [
  ['troubleshooting.md', 'what to do about it'],
  ['rotation.md', 'rotating a secret'],
  ['alerts.md', 'alerts'],
  ['logs.md', 'the log'],
];

/** Links where the address is known, else the files' names: a link that leads nowhere helps nobody. */
function docsLinks({ docs }: StatusSnapshot): Html {
  const links = PAGES.map(([file, what]) =>
    docs === null
      ? html`<code>docs/${file}</code> (${what})`
      : html`<a href="${docs}/${file}" rel="noreferrer">${what}</a>`,
  );
  return html`${links.map((link, at) => (at === 0 ? link : html`, ${link}`))}`;
}

function refreshNote(refresh: boolean): Html {
  return refresh
    ? html`Refreshes itself each ${REFRESH_SECONDS} s (<a href="/?refresh=off">pause</a>).`
    : html`Does not refresh itself (<a href="/">resume</a>).`;
}
