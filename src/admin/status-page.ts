// The status page: one look for operators without Grafana. Plain HTML and CSS made here, no script, nothing from outside;
// html.ts escapes what a client or a file chose.
import { type Advice, adviceFor, type Tone } from './advice.ts';
import { Html, html, when } from './html.ts';
import { CURVES, type StatusSnapshot } from './status.ts';
import { STYLE } from './status-style.ts';
import { pill, tables } from './status-tables.ts';

const REFRESH_SECONDS = 5;

/** `refresh: false` gives a page that holds still. */
export function renderStatusPage(s: StatusSnapshot, options: { refresh: boolean }): string {
  const refresh = options.refresh ? html`<meta http-equiv="refresh" content="${REFRESH_SECONDS}">` : null;
  const [tone, state] = stateOf(s);
  const advice = adviceFor(s);
  const page = html`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">${refresh}
<title>${titleOf(advice, state)} · entrupy-signature-proxy</title><style>${new Html([STYLE], [])}</style></head>
<body><header><h1>entrupy-signature-proxy</h1>${pill(tone, state)}<p class="soft">${s.version}, started ${when(s.startedAt, s.now)}</p></header>
<main>${adviceList(advice)}${figures(s)}${tables(s)}${about(s)}</main>
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

const TONE_WORD: Readonly<Record<Tone, string>> = { calm: '● OK', warn: '▲ Look at this', bad: '✕ Act now' };

/** Ready does not mean well: the browser's tab shows the tone of the headline. */
function titleOf([headline]: readonly Advice[], state: string): string {
  return headline === undefined || headline.tone === 'calm' ? state : `${TONE_WORD[headline.tone]} · ${state}`;
}

function adviceList(advice: readonly Advice[]): Html {
  const items = advice.map(
    ({ tone, sentence }) =>
      html`<li class="${tone}"><strong>${TONE_WORD[tone]}.</strong> <span>${sentence}</span></li>`,
  );
  return html`<ul class="advice" aria-label="What to do">${items}</ul>`;
}

/** Counts, each over its curve of the last hour: inline SVG, as the CSP allows no script and no style attribute. */
function figures({ recent }: StatusSnapshot): Html {
  const minutes = Math.round(recent.windowSeconds / 60);
  const boxes = CURVES.map((curve) => {
    const name = curve === 'upstreamFailures' ? 'upstream failed' : curve;
    return html`<div><dt>${name}</dt><dd>${recent[curve]}</dd><dd>${curveOf(name, recent.hour[curve])}</dd></div>`;
  });
  return html`<dl class="figures" aria-label="Requests in the last ${minutes} minutes">${boxes}</dl>
<p class="soft note">Requests in the last ${minutes} minutes; the curves are the last hour, by minute, each to its own scale.</p>`;
}

const HEIGHT = 18;

function curveOf(name: string, minutes: readonly number[]): Html {
  const most = Math.max(...minutes);
  const y = (count: number) => (most === 0 ? HEIGHT : HEIGHT - (count / most) * (HEIGHT - 2)).toFixed(1);
  const points = minutes.map((count, index) => `${index},${y(count)}`).join(' ');
  const label = `${name}, the last hour by minute: ${most === 0 ? 'none' : `at most ${most}`}`;
  return html`<svg class="curve" viewBox="0 0 ${minutes.length - 1} ${HEIGHT + 1}" preserveAspectRatio="none" role="img" aria-label="${label}"><title>${label}</title><polyline points="${points}"/></svg>`;
}

function about({ config: { file, sha256 }, upstream, lastReload, nodeVersion, now }: StatusSnapshot): Html {
  return html`<section aria-labelledby="about"><h2 id="about">This proxy</h2><dl class="facts">
<dt>Upstream</dt><dd><code>${upstream.url}</code> ${reachability(upstream)}</dd>
<dt>Configuration</dt><dd>${file === null ? 'the environment alone' : html`<code>${file}</code> <span class="soft">sha256 ${sha256.slice(0, 12)}</span>`}</dd>
<dt>Last reload</dt><dd>${lastReload === null ? 'none since the start' : reload(lastReload, now)}</dd>
<dt>Node</dt><dd>${nodeVersion}</dd>
</dl></section>`;
}

function reachability({ reachable }: StatusSnapshot['upstream']): Html {
  if (reachable === null) return html`<span class="soft">not tried of late</span>`;
  return reachable ? pill('calm', 'accepts connections') : pill('bad', 'accepts no connection');
}

function reload({ ok, at, error }: NonNullable<StatusSnapshot['lastReload']>, now: number): Html {
  const outcome = ok ? pill('calm', 'succeeded') : pill('bad', 'failed');
  return html`${outcome} ${when(at, now)}${error === null ? null : html`<p>${error}</p>`}`;
}

const PAGES: readonly (readonly [string, string])[] = [
  ['troubleshooting.md', 'what to do about it'],
  ['rotation.md', 'rotating a secret'],
  ['alerts.md', 'alerts'],
  ['logs.md', 'the log'],
];

/** Links where the address is known, else the files' names: a link that leads nowhere helps nobody. */
function docsLinks({ docs }: StatusSnapshot): Html {
  const links = PAGES.map(([file, topic]) =>
    docs === null
      ? html`<code>docs/${file}</code> (${topic})`
      : html`<a href="${docs}/${file}" rel="noreferrer">${topic}</a>`,
  );
  return html`${links.map((link, at) => (at === 0 ? link : html`, ${link}`))}`;
}

function refreshNote(refresh: boolean): Html {
  return refresh
    ? html`Refreshes itself each ${REFRESH_SECONDS} s (<a href="/?refresh=off">pause</a>).`
    : html`Does not refresh itself (<a href="/">resume</a>).`;
}
