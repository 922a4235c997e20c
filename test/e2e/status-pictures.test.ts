// The pictures of the status page tell stories of hours: time is given, and nothing of this machine shows. With
// SCREENSHOTS set they are renewed in docs/images; dashboard/README.md says how to make them small.
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

describe.skipIf(!HAS_CHROMIUM)('pictures of the status page (needs Debian’s chromium)', () => {
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

  /** At the story's end: the page, by default its verdict and the first row of counts. Returns its whole text. */
  async function picture(name: string, view: View = HALF): Promise<string> {
    const { page } = browser;
    await story.at(0);
    await page.open(`${story.proxy.adminUrl}/?refresh=off`, view);
    await page.evaluate(installed(story.proxy.directory, upstream.url));
    const text = await page.evaluate<string>('document.body.innerText');
    expect(text, 'this machine shows').not.toMatch(/\/tmp\/|127\.0\.0\.1:(?!3000\b)/);
    expect(text, 'it has just started').not.toMatch(/started \d+ s ago/);
    expect(await page.evaluate('document.documentElement.scrollWidth - innerWidth')).toBeLessThanOrEqual(0);
    if (process.env.SCREENSHOTS !== undefined) {
      await mkdir(IMAGES, { recursive: true });
      const counts = await page.evaluate<number>(
        'document.querySelector(".figures > *").getBoundingClientRect().bottom',
      );
      const height = view === HALF ? Math.ceil(counts) + 6 : view === PHONE ? view.height : undefined;
      await writeFile(new URL(`status-${name}.png`, IMAGES), await page.screenshot(height));
    }
    return text;
  }

  test('calm: some deliveries an hour, and nothing to do', async () => {
    await deliveries(SECRET, { from: 5 * HOURS, to: 1 });
    expect(await picture('calm', DESK)).toMatch(/All is well/);
    expect(await picture('phone', PHONE)).toMatch(/All is well/);
  });

  test('a wrong secret: deliveries until twenty minutes ago, and since then none is accepted', async () => {
    await deliveries(SECRET, { from: 5 * HOURS, to: 22 });
    await deliveries(`${SECRET}\n`, { from: 19, to: 1 });
    expect(await picture('wrong-secret')).toMatch(/Act now.*Likely cause: .*newline/s);
  });

  test('attacked: deliveries go through while a stranger tries signatures', async () => {
    await deliveries(SECRET, { from: 5 * HOURS, to: 14 });
    for (let minute = 12; minute >= 1; minute--) {
      await story.at(minute);
      await story.visit({ secret: SECRET });
      for (let nth = 0; nth < 2 * (13 - minute); nth++) await story.visit({ secret: FOREIGN, client: '192.0.2.66' });
      await story.visit({ client: '198.51.100.9' });
    }
    expect(await picture('attacked')).toMatch(/Look at this.*signature_mismatch/s);
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
    expect(await picture('scanned')).toMatch(/All is well/);
  });

  test('rotating: an hour after the change, one sender still signs with the old value', async () => {
    await deliveries(SECRET, { from: 5 * HOURS, to: 62 });
    await story.at(60);
    await writeFile(join(story.proxy.directory, 'secrets', 'current'), NEXT);
    await story.proxy.waitForLog(({ msg }) => msg === 'reloaded', 'the reload');
    await deliveries(SECRET, { from: 59, to: 11 });
    await deliveries(NEXT, { from: 40, to: 6 });
    await deliveries(NEXT, { from: 2, to: 1 });
    expect(await picture('rotating')).toMatch(/Rotation: .*old value of current/s);
  });

  test('the app fails: it answers 500 since its last deployment', async () => {
    await deliveries(SECRET, { from: 5 * HOURS, to: 50 });
    answer = 500;
    await deliveries(SECRET, { from: 41, to: 2 });
    expect(await picture('app-fails')).toMatch(/Act now.*500/s);
  });

  test('broken: the app is down, and a reload failed', async () => {
    await deliveries(SECRET, { from: 5 * HOURS, to: 20 });
    await story.at(25);
    await replaceFile(story.proxy.configFile, 'upstreem: nonsense\n');
    await story.proxy.waitForLog(({ msg }) => String(msg).startsWith('reload failed'), 'the failed reload');
    await upstream.close();
    await deliveries(SECRET, { from: 9, to: 1 });
    expect(await picture('broken')).toMatch(/Act now.*accepts no connection/s);
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
