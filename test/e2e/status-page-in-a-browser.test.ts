// The page of a running proxy in a real browser tells stories of hours: time is given, and nothing of this machine shows.
// With SCREENSHOTS set its pictures are renewed in docs/images; dashboard/README.md says how to make them small.
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type Browser, HAS_CHROMIUM, openBrowser, type View } from '../support/machine/browser.ts';
import { replaceFile } from '../support/machine/files.ts';
import { beginStory, type Story } from '../support/proxy/story.ts';
import { startUpstream, type Upstream } from '../support/upstream/upstream.ts';

const IMAGES = new URL('../../docs/images/', import.meta.url);
const SECRET = 'the secret at Entrupy, 32 bytes or more';
const NEXT = 'the secret that replaces it, 32 bytes or more';
const FOREIGN = 'somebody else’s secret, 32 bytes or more';
const DESK: View = { width: 1000, height: 800, scheme: 'light' };
/** Narrow enough to be read at half a page's width. */
const HALF: View = { width: 620, height: 700, scheme: 'light', scale: 1.5 };
const PHONE: View = { width: 390, height: 844, scheme: 'dark', scale: 1.5 };
const HOURS = 60;

describe.skipIf(!HAS_CHROMIUM)('the status page in a browser (needs Debian’s chromium)', () => {
  let browser: Browser;
  let upstream: Upstream;
  let story: Story;
  /** What the app answers to deliveries. */
  let answer = 200;

  beforeAll(async () => {
    browser = await openBrowser();
  });
  afterAll(() => browser?.close());

  beforeEach(async () => {
    answer = 200;
    upstream = await startUpstream({
      handle({ target }, response) {
        response.statusCode = target === '/notify' ? answer : 200;
        response.end();
      },
    });
    story = await beginStory(31 * HOURS, {
      config: (directory) => ({
        listen: { trustedProxies: ['127.0.0.1/32'] },
        upstream: { url: upstream.url, retryConnectFor: '100ms' },
        secrets: [{ directory, overlap: '24h' }],
        routes: [{ path: '/notify' }, { path: '/healthz', action: 'forward' }],
        unmatched: 'reject',
      }),
      secrets: { current: SECRET },
    });
  });
  afterEach(async () => {
    await story?.end();
    await upstream?.close();
  });

  /** From one minute to another, both before the end: a dozen deliveries an hour, as unevenly as merchants get them. */
  async function deliveries(secret: string, { from, to }: { from: number; to: number }) {
    const pauses = [7, 3, 6, 2, 5, 8, 4];
    for (let minute = from, nth = 0; minute >= to; minute -= pauses[nth++ % pauses.length] ?? 1) {
      await story.at(minute);
      await story.visit({ secret });
      if (nth % 3 === 0) await story.visit({ method: 'GET', path: '/healthz', client: '198.51.100.20' });
    }
  }

  /** At the story's end: the page, of which the picture shows the verdict and the first row of counts, but for other views. */
  async function look(name: string, view: View = HALF): Promise<Seen> {
    const { page } = browser;
    await story.at(0);
    for (const other of [PHONE, { ...PHONE, scheme: 'light' }, { ...DESK, scheme: 'dark' }, view] as const) {
      await page.open(`${story.proxy.adminUrl}/?refresh=off`, other);
      await isReadable(`${name}, ${other.width} ${other.scheme}`);
    }
    await page.evaluate(installed(story.proxy.directory, upstream.url));
    const seen = await page.evaluate<Seen>(SEEN);
    expect(seen.text, 'this machine shows').not.toMatch(/\/tmp\/|127\.0\.0\.1:(?!3000\b)/);
    expect(seen.text, 'it has just started').not.toMatch(/started \d+ s ago/);
    expect(seen.scripts).toBe(0);
    if (process.env.SCREENSHOTS !== undefined) {
      await mkdir(IMAGES, { recursive: true });
      const counts = await page.evaluate<number>(
        'document.querySelector(".figures > *").getBoundingClientRect().bottom',
      );
      const height = view === HALF ? Math.ceil(counts) + 6 : view === PHONE ? view.height : undefined;
      await writeFile(new URL(`status-${name}.png`, IMAGES), await page.screenshot(height));
    }
    return seen;
  }

  /** No sideways scrolling, no text too pale for WCAG AA, no request to another host, no CSP violation. */
  async function isReadable(label: string): Promise<void> {
    const { page } = browser;
    expect(await page.evaluate('document.documentElement.scrollWidth - innerWidth'), label).toBeLessThanOrEqual(0);
    expect(await page.evaluate(PALE), label).toEqual([]);
    expect(page.complaints, label).toEqual([]);
    const elsewhere = page.requests.filter((url) => !/^http:\/\/127\.0\.0\.1:\d+\/(\?refresh=off)?$/.test(url));
    expect(elsewhere.filter((url) => !url.endsWith('/favicon.ico'))).toEqual([]);
  }

  test('calm: some deliveries an hour, and nothing to do', async () => {
    await deliveries(SECRET, { from: 5 * HOURS, to: 1 });
    const { title, pill, advice, text } = await look('calm', DESK);
    expect([title, pill]).toEqual(['Ready · entrupy-signature-proxy', '● Ready']);
    expect(advice).toEqual([
      expect.stringMatching(
        /^● OK\. All is well: the app took the last delivery .*, and of the last day none is known to be lost/,
      ),
    ]);
    expect(text).toMatch(/Recent refusals\s+None since the start\./);
    await look('phone', PHONE);
  });

  test('a wrong secret: deliveries until twenty minutes ago, and since then none is accepted', async () => {
    await deliveries(SECRET, { from: 5 * HOURS, to: 22 });
    await deliveries(`${SECRET}\n`, { from: 19, to: 1 });
    const { advice } = await look('wrong-secret');
    expect(advice[0]).toMatch(/^✕ Act now\. The last \d+ deliveries to \/notify were refused, .*trailing newline/s);
  });

  test('attacked: deliveries go through while a stranger tries signatures', async () => {
    await deliveries(SECRET, { from: 5 * HOURS, to: 14 });
    for (let minute = 12; minute >= 1; minute--) {
      await story.at(minute);
      await story.visit({ secret: SECRET });
      for (let nth = 0; nth < 2 * (13 - minute); nth++)
        await story.visit({ secret: FOREIGN, client: '192.0.2.66', userAgent: 'curl' });
      for (const path of ['/notify?token=very-private', '/%3Cscript%3Ealert(1)%3C%2Fscript%3E'])
        await story.visit({ client: '198.51.100.9', path, userAgent: 'curl' });
    }
    const { advice, rows, text } = await look('attacked');
    expect(advice[0]).toMatch(
      /^▲ Look at this\. 156 requests with a signature .* refused.* 192\.0\.2\.66.* it is signed with another secret.* Nothing proves that a sender of yours sent them/s,
    );
    expect(rows.find((cells) => cells[4]?.startsWith('signature_mismatch'))?.[1]).toMatch(/^\d+$/);
    expect(text).toContain('192.0.2.66');
    expect(text).not.toContain('very-private');
  });

  test('scanned: the noise of a public port', async () => {
    await deliveries(SECRET, { from: 5 * HOURS, to: 6 });
    for (const minute of [40, 21, 3]) {
      await story.at(minute);
      for (const path of ['/.env', '/wp-login.php', '/notify']) {
        await story.visit({ method: 'GET', path, client: `198.51.100.${minute}` });
      }
    }
    await deliveries(SECRET, { from: 2, to: 1 });
    const { title, advice, text } = await look('scanned');
    expect(title).toBe('Ready · entrupy-signature-proxy');
    expect(advice).toEqual([expect.stringMatching(/^● OK\. All is well: the app took the last delivery/)]);
    expect(text).toContain('method_not_allowed');
  });

  test('rotating: an hour after the change, one sender still signs with the old value', async () => {
    await deliveries(SECRET, { from: 5 * HOURS, to: 62 });
    await story.at(60);
    await writeFile(join(story.proxy.directory, 'secrets', 'current'), NEXT);
    await story.proxy.waitForLog(({ msg }) => msg === 'reloaded', 'the reload');
    await deliveries(SECRET, { from: 59, to: 11 });
    await deliveries(NEXT, { from: 40, to: 6 });
    await deliveries(NEXT, { from: 2, to: 1 });
    const { advice, rows, text } = await look('rotating');
    expect(advice[1]).toMatch(
      /^● OK\. Rotation: senders still sign with the old value of current, .* it ends in 2\d h/,
    );
    const row = (id: string) => rows.find((cells) => cells[0] === id)?.join(' | ');
    expect(row('current')).toMatch(/live \| .*ago.* \| no end/);
    expect(row('current.previous')).toMatch(/live \| .*ago.* \| .*ends in 2\d h/);
    expect(text).toMatch(/reload\s+The last reload worked/);
  });

  test('the app fails: it answers 500 since its last deployment', async () => {
    await deliveries(SECRET, { from: 5 * HOURS, to: 50 });
    answer = 500;
    await deliveries(SECRET, { from: 41, to: 2 });
    expect((await look('app-fails')).advice[0]).toMatch(/^✕ Act now.*500/s);
  });

  test('broken: each problem, the worst first, with its remedy', async () => {
    await deliveries(SECRET, { from: 5 * HOURS, to: 20 });
    await story.at(25);
    await replaceFile(story.proxy.configFile, 'upstreem: nonsense\n');
    await story.proxy.waitForLog(({ msg }) => String(msg).startsWith('reload failed'), 'the failed reload');
    await upstream.close();
    await deliveries(SECRET, { from: 9, to: 1 });
    const { title, advice, rows, text } = await look('broken');
    expect(title).toBe('✕ Act now · Ready · entrupy-signature-proxy');
    expect(advice[0]).toMatch(
      /^✕ Act now\. The app gave no whole answer to the last 2 .*start it, or correct.*The upstream .* accepts no connections/s,
    );
    expect(advice.join('\n')).toMatch(/So deliveries-lost: \d+ deliveries of the last day to \/notify may be lost/);
    expect(advice.join('\n')).toMatch(
      /so what it could not load is still in use as before \(the configuration is of .* UTC\)/,
    );
    expect(text).toMatch(/The upstream gave no complete response: connect(?: \(ECONNREFUSED\))?\./);
    expect(rows.filter((cells) => cells[2] === 'failed' && cells[3] === '502').length).toBeGreaterThan(0);
  });

  test('it refreshes itself, and stops on request', async () => {
    const { page } = browser;
    await page.open(`${story.proxy.adminUrl}/`, DESK);
    for (let times = 0; times < 7; times++) await story.visit({ secret: SECRET });
    await page.nextLoad();
    expect((await page.evaluate<Seen>(SEEN)).advice[0]).toContain('the app took the last delivery');
    await page.evaluate('document.querySelector("footer a").click()');
    await page.nextLoad();
    const paused = await fetch(await page.evaluate<string>('location.href'));
    expect(paused.headers.has('refresh')).toBe(false);
  });
});

/** Shows the paths and the port of an installation in place of this machine's. */
function installed(directory: string, upstreamUrl: string): string {
  const shown = [
    [`${directory}/secrets`, '/etc/entrupy/secrets'],
    [`${directory}/config.yaml`, '/etc/entrupy-signature-proxy/config.yaml'],
    [upstreamUrl, 'http://127.0.0.1:3000'],
  ];
  return `{
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) {
      for (const [ours, theirs] of ${JSON.stringify(shown)}) {
        texts.currentNode.data = texts.currentNode.data.replaceAll(ours, theirs);
      }
    }
  }`;
}

interface Seen {
  readonly title: string;
  readonly pill: string;
  /** Each sentence, the headline first. */
  readonly advice: readonly string[];
  /** The tables, cell by cell. */
  readonly rows: readonly (readonly string[])[];
  readonly text: string;
  readonly scripts: number;
}

const SEEN = `({
  title: document.title,
  pill: document.querySelector('header .pill').innerText,
  advice: [...document.querySelectorAll('.advice li')].map((item) => item.innerText),
  rows: [...document.querySelectorAll('tbody tr')].map((row) => [...row.cells].map((cell) => cell.innerText)),
  text: document.body.innerText,
  scripts: document.scripts.length,
})`;

/** Texts whose contrast with their background is under 4.5 (WCAG 2.2, 1.4.3), with the ratio. */
const PALE = `(() => {
  const context = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  const rgba = (color) => {
    context.clearRect(0, 0, 1, 1);
    context.fillStyle = color;
    context.fillRect(0, 0, 1, 1);
    return [...context.getImageData(0, 0, 1, 1).data];
  };
  const luminance = (color) => {
    const [r, g, b] = rgba(color).map((value) => {
      const part = value / 255;
      return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const color = getComputedStyle(at).backgroundColor;
      if (rgba(color)[3] === 255) return color;
    }
    return 'white';
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const pale = [];
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (walker.currentNode.data.trim() === '' || element.closest('style')) continue;
    const [a, b] = [luminance(getComputedStyle(element).color), luminance(behind(element))].sort((x, y) => y - x);
    const contrast = (a + 0.05) / (b + 0.05);
    if (contrast < 4.5) pale.push(walker.currentNode.data.trim() + ': ' + contrast.toFixed(2));
  }
  return pale;
})()`;
