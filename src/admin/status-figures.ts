// The figures of the status page: counts of five minutes, each over its curve of the last hour. Curves are inline SVG: the CSP
// lets no script and no style attribute by.
import { type Html, html } from './html.ts';
import type { Curve, StatusSnapshot } from './status.ts';

const NAMES: readonly (readonly [Curve, string])[] = [
  ['accepted', 'accepted'],
  ['rejected', 'rejected'],
  ['reported', 'reported'],
  ['forwarded', 'forwarded'],
  ['duplicate', 'duplicate'],
  ['upstreamFailures', 'upstream failed'],
];

export function figures(s: StatusSnapshot): Html {
  const minutes = Math.round(s.recent.windowSeconds / 60);
  const boxes = NAMES.map(
    ([curve, name]) =>
      html`<div><dt>${name}</dt><dd>${s.recent[curve]}</dd><dd>${curveOf(name, s.recent.hour[curve])}</dd></div>`,
  );
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
