// The status page, for operators without Grafana. Plain HTML and CSS, no script, nothing from other hosts; html.ts
// escapes text that comes from a client or a file.
import { hash } from 'node:crypto';
import { FATE_MEANINGS, FATES } from '../../core/fate-by-status.ts';
import type { State } from '../../health/diagnoses.ts';
import type { ApiStatus } from '../../health/health.ts';
import type { ShownRequest } from '../../health/recent-requests.ts';
import { Html, html, pill, when } from './html.ts';
import { tables } from './tables.ts';

const REFRESH_SECONDS = 5;

export function renderStatusPage(s: ApiStatus): string {
  const [state, readiness] = readinessOf(s);
  // A ready proxy may still have problems, so the browser's tab shows the state of the headline.
  const headline = s.advice[0]?.state ?? 'ok';
  const title = headline === 'ok' ? readiness : `${STATE_WORDS[headline]} · ${readiness}`;
  const page = html`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>${title} · entrupy-signature-proxy</title><style>${new Html([STYLE], [])}</style></head>
<body><header><h1>entrupy-signature-proxy</h1>${pill(state, readiness)}<p class="soft">${s.version}, started ${when(s.startedAt, s.now)}</p></header>
<main>${adviceList(s)}${figures(s)}${tables(s)}${about(s)}</main>
<footer class="soft"><p><a href="/?refresh=off">Pause</a>, or <a href="/">reload every ${REFRESH_SECONDS} s</a>.
Also <a href="/api/status">the same as JSON</a>, <a href="/metrics">metrics</a>, <a href="/readyz">readiness</a>.</p>
<p>Documentation: ${docsLink(s, 'troubleshooting.md')}.</p></footer>
</body></html>
`;
  return page.text;
}

function readinessOf(s: ApiStatus): readonly [State, string] {
  if (s.draining) return ['warning', 'Draining'];
  return s.ready ? ['ok', 'Ready'] : ['failed', 'Not ready'];
}

const STATE_WORDS = { ok: '● OK', note: 'Note', warning: '▲ Look at this', failed: '✕ Act now' } as const;

function adviceList(s: ApiStatus): Html {
  const items = s.advice.map(
    ({ id, state, message, remedy, page, follows }) =>
      html`<li class="${state}"><strong>${STATE_WORDS[state]}.</strong> <span>${message} <b>${remedy}</b></span> ${state === 'ok' ? null : html`<small><span class="id">${id}:</span> ${docsLink(s, page)}</small>`}${follows.map((item) => html`<p class="note"><span>So <span class="id">${item.id}</span>: ${item.message}</span></p>`)}</li>`,
  );
  return html`<ul class="advice" aria-label="What to do">${items}</ul>`;
}

/** The fates of verified deliveries. What the proxy itself refused is none of them, so "refused" alone would mislead. */
function figures({ routes, startedAt, now }: ApiStatus): Html {
  const boxes = FATES.map((fate) => {
    const amount = routes.reduce((sum, { traffic }) => sum + traffic.fates[fate], 0);
    const isLost = fate === 'failed' || fate === 'abandoned';
    return html`<div class="${isLost && amount > 0 ? 'failed' : 'plain'}" title="${FATE_MEANINGS[fate]}"><dt>${fate === 'refused' ? 'refused by the app' : fate}</dt><dd>${amount}</dd></div>`;
  });
  return html`<dl class="figures" aria-label="Deliveries since the start">${boxes}</dl>
<p class="soft note">Deliveries with a right signature that came to the routes below since the start ${when(startedAt, now)}.</p>`;
}

/** The sentences on what is right, by subject, and facts that are shown nowhere else. */
function about({ right, config: { file, sha256 }, lastProbe, now, once, deferred }: ApiStatus): Html {
  const facts = right.map(({ id, message }) => html`<dt>${id}</dt><dd>${message}</dd>\n`);
  const unknown = [once?.isKnown === false ? 'once' : '', deferred?.state === 'unknown' ? 'redelivery' : ''];
  for (const id of unknown.filter((each) => each !== ''))
    facts.push(html`<dt>${id}</dt><dd>What its store holds is not known yet.</dd>\n`);
  const from = html`<code>${file}</code> <span class="soft">sha256 ${sha256.slice(0, 12)}</span>`;
  return html`<section aria-labelledby="about"><h2 id="about">This proxy</h2><dl class="facts">
${facts}<dt>configuration</dt><dd>${file === null ? 'the environment alone' : from}</dd>
${lastProbe === null ? null : probe(lastProbe, now)}</dl></section>`;
}

function probe({ at, path, upstreamStatus, client }: ShownRequest, now: number): Html {
  const answer = upstreamStatus === 0 ? 'the app gave no answer' : `the app answered ${upstreamStatus}`;
  return html`<dt>last probe</dt><dd>${when(at, now)} to <code>${path}</code> from <code>${client}</code>: ${answer}</dd>\n`;
}

function docsLink({ docs }: ApiStatus, file: string): Html {
  return docs === null ? html`<code>docs/${file}</code>` : html`<a href="${docs}/${file}" rel="noreferrer">${file}</a>`;
}

const STYLE = `
:root {
  color-scheme: light dark;
  --page: light-dark(#f5f6f8, #101317); --card: light-dark(#fff, #181c22); --line: light-dark(#dfe3e8, #2b323b);
  --text: light-dark(#1b2430, #e4e8ed); --soft: light-dark(#586474, #9aa6b4);
  --ok: light-dark(#17673a, #6fd39a); --ok-fill: light-dark(#e5f4ea, #14281d);
  --warning: light-dark(#805000, #f0c060); --warning-fill: light-dark(#fdf2da, #2d2413);
  --failed: light-dark(#a3201d, #ff958c); --failed-fill: light-dark(#fde8e6, #351917);
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--text); font: 15px/1.5 system-ui, sans-serif; }
header, main, footer { max-width: 72rem; margin: 0 auto; padding: 0 1.25rem; }
header { display: flex; flex-wrap: wrap; align-items: center; gap: .25rem .9rem; padding-top: 1.5rem; }
h1 { font-size: 1.3rem; margin: 0; letter-spacing: -.01em; }
h2 { font-size: 1.02rem; margin: 0 0 .6rem; }
p { margin: 0; }
a { color: inherit; text-underline-offset: .2em; }
a:focus-visible { outline: 2px solid currentColor; outline-offset: 2px; }
code { font: .92em/1.5 ui-monospace, "SF Mono", Menlo, Consolas, monospace; overflow-wrap: anywhere; }
.soft { color: var(--soft); }
.note { font-size: .88rem; margin-top: .4rem; }
time { white-space: nowrap; }
.pill { display: inline-block; white-space: nowrap; padding: .05rem .6rem; border-radius: 1rem; font-size: .85rem; font-weight: 600; }
.ok { color: var(--ok); background: var(--ok-fill); }
.warning { color: var(--warning); background: var(--warning-fill); }
.failed { color: var(--failed); background: var(--failed-fill); }
.advice { list-style: none; margin: 1.1rem 0 0; padding: 0; display: grid; gap: .5rem; }
.advice li { padding: .6rem .9rem; border-radius: .6rem; border: 1px solid currentColor; overflow-wrap: anywhere; }
.advice li:first-child { font-size: 1.1rem; padding: .85rem 1.1rem; }
.advice span { color: var(--text); }
.advice b { font-weight: 600; }
.advice .note { border-color: var(--line); background: none; margin: 0; }
.advice small, .advice small span { color: var(--soft); }
.id { white-space: nowrap; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(8.5rem, 45%), 1fr)); gap: .6rem; margin: 1.1rem 0 0; }
.figures div, section { background: var(--card); border: 1px solid var(--line); border-radius: .6rem; }
.figures div { padding: .6rem .9rem; display: flex; flex-direction: column; gap: .1rem; }
.figures dd:first-of-type { order: -1; }
.figures dt { color: var(--soft); font-size: .85rem; }
.figures dd { margin: 0; font-size: 1.6rem; line-height: 1.2; font-variant-numeric: tabular-nums; }
section { margin-top: 1.1rem; padding: 1rem 1.1rem; }
table { border-collapse: collapse; width: 100%; }
caption { text-align: left; color: var(--soft); font-size: .88rem; padding-bottom: .5rem; }
th { text-align: left; font-size: .82rem; color: var(--soft); font-weight: 600; }
th, td { padding: .4rem .8rem .4rem 0; border-top: 1px solid var(--line); vertical-align: top; }
tbody th { font-size: inherit; font-weight: 600; color: inherit; }
td p { font-size: .88rem; max-width: 46ch; }
td code { display: inline-block; max-width: 36ch; }
tbody th code { display: inline-block; max-width: 24ch; overflow-wrap: break-word; }
td[data-label="Client"] code { min-width: 15ch; }
.facts { display: grid; grid-template-columns: max-content 1fr; gap: .3rem 1.2rem; margin: 0; }
.facts dt { color: var(--soft); }
.facts dd { margin: 0; overflow-wrap: anywhere; }
footer { padding-top: 1.1rem; padding-bottom: 2rem; font-size: .88rem; }
@media (max-width: 44rem) {
  header, main, footer { padding-left: .9rem; padding-right: .9rem; }
  thead { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
  table, tbody, tr, th, td, caption { display: block; }
  tr { border-top: 1px solid var(--line); padding: .5rem 0; }
  th, td { border: 0; padding: .1rem 0; }
  td::before { content: attr(data-label) " "; color: var(--soft); font-size: .82rem; margin-right: .4rem; }
  .facts { grid-template-columns: 1fr; gap: 0; }
  .facts dd { margin-bottom: .5rem; }
}
`;

/** Allows the style of the page only: no script, image, font, form or frame. */
const PAGE_CSP = `default-src 'none'; style-src 'sha256-${hash('sha256', STYLE, 'base64')}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`;

/** The headers of the page. `query`: that of the request's target, with its `?`. */
export function pageHeaders(query: string): Readonly<Record<string, string>> {
  const isPaused = new URLSearchParams(query).get('refresh') === 'off';
  const refresh = isPaused ? {} : { Refresh: String(REFRESH_SECONDS) };
  return { 'Content-Type': 'text/html; charset=utf-8', 'Content-Security-Policy': PAGE_CSP, ...refresh };
}
