// The page: the chosen panels where the dashboard puts them, below a line that says what the picture is. The page's address
// gives the time range (`from`, `to`: epoch seconds), the `theme` and what to show (`only`: titles, as JSON). `data-drawn` on
// the body means that everything is drawn.
import { createTheme, type GrafanaTheme2 } from '@grafana/data';
import { initPluginTranslations } from '@grafana/i18n';
import { GlobalStyles, PanelChrome, ThemeContext } from '@grafana/ui';
import type { ReactNode } from 'react';
import { createRoot } from 'react-dom/client';
import { chosen, type Panel, TITLE } from './dashboard.ts';
import { preparedFrames } from './fields.ts';
import { type Drawn, Visual } from './panels.tsx';
import { framesOf, type Span } from './prometheus.ts';

const MARGIN = 8;
/** Grafana's grid: the height of one row, and the space below each panel. */
const LINE = 30;
/** Legends and tables get their sizes only after the first drawing. */
const SETTLE_MS = 5000;
const LABEL = 'Drawn from a real Prometheus by Grafana’s own components (@grafana/ui); not a screenshot of Grafana';

type Filled = Pick<Drawn, 'panel' | 'frames'>;

function boxOf({ gridPos: { x, y, w, h } }: Panel) {
  const column = (innerWidth - MARGIN) / 24;
  return {
    left: MARGIN + x * column,
    top: y * (LINE + MARGIN),
    width: w * column - MARGIN,
    height: h * (LINE + MARGIN) - MARGIN,
  };
}

function Page({
  filled,
  span,
  theme,
}: {
  readonly filled: readonly Filled[];
  readonly span: Span;
  readonly theme: GrafanaTheme2;
}) {
  const bottom = Math.max(...filled.map(({ panel }) => boxOf(panel).top + boxOf(panel).height));
  const clock = (seconds: number) => new Date(seconds * 1000).toLocaleTimeString('en-GB');
  const color = theme.colors.text?.secondary;
  return (
    <>
      <header style={{ padding: '12px 16px 8px' }}>
        <div style={{ display: 'flex', justifyContent: 'space-between', fontSize: 18, fontWeight: 500 }}>
          <span>{TITLE}</span>
          <span style={{ fontSize: 14, color }}>{`${clock(span.from)} to ${clock(span.to)}`}</span>
        </div>
        <div style={{ color }}>{LABEL}</div>
      </header>
      <main style={{ position: 'relative', height: bottom + MARGIN }}>
        {filled.map(({ panel, frames }) => (
          <div key={panel.title} style={{ position: 'absolute', ...boxOf(panel) }}>
            {panel.type === 'row' ? (
              <strong style={{ lineHeight: `${LINE}px`, fontWeight: 500 }}>{`⌄ ${panel.title}`}</strong>
            ) : (
              <PanelChrome
                title={panel.title}
                description={panel.description}
                width={boxOf(panel).width}
                height={boxOf(panel).height}
              >
                {(width, height) => <Visual {...{ panel, frames, span, theme, width, height }} />}
              </PanelChrome>
            )}
          </div>
        ))}
      </main>
    </>
  );
}

async function filledPanel(panel: Panel, span: Span, theme: GrafanaTheme2): Promise<Filled> {
  if (panel.type === 'row') return { panel, frames: [] };
  const raw = await Promise.all(panel.targets.map((target) => framesOf(target, span)));
  return { panel, frames: await preparedFrames(panel, raw.flat(), theme) };
}

async function main(): Promise<void> {
  const asked = new URLSearchParams(location.search);
  const span = { from: Number(asked.get('from')), to: Number(asked.get('to')) };
  const theme = createTheme({ colors: { mode: asked.get('theme') === 'dark' ? 'dark' : 'light' } });
  await initPluginTranslations('preview');
  const panels = chosen(JSON.parse(asked.get('only') ?? '[]'));
  const filled = await Promise.all(panels.map((panel) => filledPanel(panel, span, theme)));
  const root = createRoot(document.getElementById('root') ?? document.body);
  const show = (page: ReactNode) =>
    root.render(
      <ThemeContext.Provider value={theme}>
        <GlobalStyles />
        {page}
      </ThemeContext.Provider>,
    );
  // Charts measure their texts when they are made: the fonts must be loaded by then.
  show(null);
  await new Promise(requestAnimationFrame);
  await Promise.all(['12px Inter', '500 12px Inter'].map((font) => document.fonts.load(font)));
  show(<Page {...{ filled, span, theme }} />);
  await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
  document.body.dataset.drawn = 'yes';
}

main().catch((error: unknown) => {
  document.body.dataset.drawn = String(error);
});
