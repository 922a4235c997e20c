// What went wrong of late, as tables of the status page: refusals in groups, and deliveries that may be gone for good.
import { REASONS } from '../core/decision.ts';
import { type Html, html } from './html.ts';
import type { Refusal, StatusSnapshot, Undelivered } from './status.ts';
import { cell, pill, table } from './status-tables.ts';
import { when } from './status-text.ts';

/** Nothing at all where there are none: an empty table of losses would worry people. */
export function undeliveredSection(s: StatusSnapshot): Html | null {
  if (s.undelivered.length === 0) return null;
  const heads = ['When', 'Request', 'Answer', 'Cause', 'Body', 'Client'];
  const caption =
    'Verified, and then not delivered: Entrupy documents no retry. Body is the beginning of its SHA-256, to find the event again (docs/alerts.md).';
  const rows = s.undelivered.map((one) => undeliveredRow(one, s.now));
  return html`<section aria-labelledby="undelivered"><h2 id="undelivered">Deliveries that may be gone</h2>${table(caption, heads, rows)}</section>`;
}

function undeliveredRow(one: Undelivered, now: number): Html {
  const cause = one.upstreamError === null ? one.cause : `${one.cause} (${one.upstreamError})`;
  return html`<tr>${cell('When', when(one.at, now))}
${cell('Request', html`<code>${one.path}</code><p class="soft">route ${one.route}</p>`)}
${cell('Answer', String(one.status))}
${cell('Cause', cause)}
${cell('Body', one.bodySha256 === null ? 'unknown' : html`<code>${one.bodySha256}</code>`)}
${cell('Client', html`<code>${one.client}</code>`)}</tr>`;
}

export function refusalsSection(s: StatusSnapshot): Html {
  const heads = ['Last', 'Count', 'Request', 'Answer', 'Why', 'Client'];
  const caption =
    'By reason, route and client, each with its last request, newest first. Queries, header values and bodies are never kept.';
  const content =
    s.refusals.length === 0
      ? html`<p>None since the start.</p>`
      : table(
          caption,
          heads,
          s.refusals.map((refusal) => refusalRow(refusal, s.now)),
        );
  return html`<section aria-labelledby="refusals"><h2 id="refusals">Recent refusals</h2>${content}</section>`;
}

function refusalRow(refusal: Refusal, now: number): Html {
  const { method, path, route, status, client } = refusal;
  return html`<tr>${cell('Last', when(refusal.at, now))}
${cell('Count', String(refusal.count))}
${cell('Request', html`<code>${method} ${path}</code><p class="soft">route ${route}</p>`)}
${cell('Answer', html`${status} ${answerOf(refusal)}`)}
${cell('Why', whyOf(refusal))}
${cell('Client', html`<code>${client}</code>`)}</tr>`;
}

function answerOf({ decision, upstreamFailure }: Refusal): Html {
  if (decision === 'reported') return pill('warn', 'let through');
  return upstreamFailure === null ? pill('bad', 'refused') : pill('bad', 'upstream failed');
}

function whyOf({ reason, hint, rule, header, upstreamFailure, upstreamError }: Refusal): Html {
  const meaning = reason === 'none' ? null : html`<code>${reason}</code><p>${REASONS[reason].meaning}</p>`;
  const name = header === null ? null : html`, header <code>${header}</code>`;
  const broken = rule === null ? null : html`<p>Rule <code>${rule}</code>${name}.</p>`;
  const upstream =
    upstreamFailure === null
      ? null
      : html`<p>The upstream gave no whole response: ${upstreamFailure}${upstreamError === null ? '' : ` (${upstreamError})`}.</p>`;
  const label = rule === null ? 'Likely cause:' : 'To let it pass:';
  const likely = hint === null ? null : html`<p><strong>${label}</strong> ${hint}</p>`;
  return html`${meaning}${broken}${upstream}${likely}`;
}
