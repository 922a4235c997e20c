// Draws the dashboard for the README: builds the page, plays the story while a real Prometheus scrapes, and takes the
// pictures. With --all DIRECTORY it writes every panel to that directory instead, for whoever changes the dashboard. It
// connects only to loopback.
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as after } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { build } from 'vite';
import { openBrowser, type Page } from '../../test/support/machine/browser.ts';
import { VITE } from './build.ts';
import { servePage } from './serve.ts';
import { type Told, tellStory } from './story.ts';

const IMAGES = fileURLToPath(new URL('../../docs/images', import.meta.url));
const WIDTH = 1240;
const DRAWN_MS = 30_000;
/** Panels, or whole rows. The state timeline is in no package (page/panels.tsx). */
const SHOWN = [
  'Wrong now',
  'Refused',
  'May be lost',
  'Firing alerts',
  'Pods up',
  'Pods differ',
  'Reporting',
  'Secret ends',
  'TLS ends',
  'Refused, by reason',
  'Share refused, by route',
  'Accepted, by secret',
  'Reloads',
  'Secrets',
  'Is the app down?',
];

interface Picture {
  readonly file: string;
  readonly scheme: 'light' | 'dark';
  readonly only: readonly string[];
}

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { all: { type: 'string' } } });
  const directory = values.all ?? IMAGES;
  const pictures: readonly Picture[] =
    values.all === undefined
      ? [
          { file: 'dashboard.png', scheme: 'light', only: SHOWN },
          { file: 'dashboard-dark.png', scheme: 'dark', only: SHOWN },
        ]
      : [{ file: 'all.png', scheme: 'light', only: [] }];
  say('builds the page');
  await build(VITE);
  await mkdir(directory, { recursive: true });
  await tellStory(say, async (told) => {
    const site = await servePage(told.prometheusUrl);
    const { page, close } = await openBrowser();
    try {
      for (const picture of pictures) {
        await writeFile(join(directory, picture.file), await draw(page, addressOf(site.url, told, picture), picture));
        say(`wrote ${join(directory, picture.file)}`);
      }
    } finally {
      await close();
      site.close();
    }
  });
}

function addressOf(url: string, { from, to }: Told, { scheme, only }: Picture): string {
  const asked = { from: String(from), to: String(to), theme: scheme, only: JSON.stringify(only) };
  return `${url}?${new URLSearchParams(asked)}`;
}

/** Loads the page twice: tables draw no row that is out of sight, so the window must be as high as the page. */
async function draw(page: Page, address: string, { scheme }: Picture): Promise<Buffer> {
  let height = 900;
  for (let nth = 0; nth < 2; nth++) {
    await page.open(address, { width: WIDTH, height, scheme });
    await untilDrawn(page);
    height = await page.evaluate<number>('document.getElementById("root").offsetHeight');
  }
  return page.screenshot();
}

/** Throws the page's own error if it cannot draw. */
async function untilDrawn(page: Page): Promise<void> {
  for (const end = Date.now() + DRAWN_MS; Date.now() < end; ) {
    const drawn = await page.evaluate<string | null>('document.body?.dataset.drawn ?? null');
    if (drawn === 'yes') return;
    if (drawn !== null) throw new Error(drawn);
    await after(100);
  }
  throw new Error(`the page drew nothing:\n${page.complaints.join('\n')}`);
}

function say(sentence: string): void {
  process.stdout.write(`${sentence}\n`);
}

await main();
