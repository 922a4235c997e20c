// A person sees on the status page what to do.
// The status page of a running proxy in a real browser: calm, attacked, rotating and broken.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { sign } from '../support/deliveries/signer.ts';
import { type Browser, HAS_CHROMIUM, openBrowser, type View } from '../support/machine/browser.ts';
import { type RunningProxy, startProxy } from '../support/proxy/proxy.ts';
import { startUpstream, type Upstream } from '../support/upstream/upstream.ts';

const SECRET = 'the secret at Entrupy, 32 bytes or more';
const NEXT = 'the secret that replaces it, 32 bytes or more';
const BODY = '{"event": "authentication.completed"}';
const DESK: View = { width: 1100, height: 800, scheme: 'light' };
const PHONE: View = { width: 390, height: 844, scheme: 'dark' };

describe.skipIf(!HAS_CHROMIUM)('the status page in a browser (needs Debian’s chromium)', () => {
  let browser: Browser;
  let upstream: Upstream;
  let proxy: RunningProxy;

  beforeAll(async () => {
    browser = await openBrowser();
  });
  afterAll(() => browser?.close());

  beforeEach(async () => {
    upstream = await startUpstream();
    proxy = await startProxy({
      config: (directory) => ({
        upstream: { url: upstream.url, retryConnectFor: '100ms' },
        secrets: [{ directory, overlap: '24h' }],
        routes: [{ path: '/notify' }, { path: '/healthz', action: 'forward' }],
      }),
      secrets: { current: SECRET },
    });
  });
  afterEach(async () => {
    await proxy?.stop();
    await upstream?.close();
  });

  async function deliver(secret: string | null, options: { path?: string; times?: number } = {}): Promise<void> {
    const { path = '/notify', times = 1 } = options;
    const headers = secret === null ? {} : { 'Entrupy-Signature': sign(secret, BODY) };
    for (let nth = 0; nth < times; nth++) {
      await (await fetch(proxy.url + path, { method: 'POST', headers, body: BODY })).arrayBuffer();
    }
  }

  /** The visible text, section by section; `refresh=off` keeps it still. */
  async function look(): Promise<Seen> {
    await browser.page.open(`${proxy.adminUrl}/?refresh=off`, DESK);
    const seen = await browser.page.evaluate<Seen>(SEEN);
    await isReadable(PHONE);
    await isReadable({ ...PHONE, scheme: 'light' });
    await isReadable({ ...DESK, scheme: 'dark' });
    return seen;
  }

  /** No sideways scrolling, no text too pale for WCAG AA, no request to another host, no CSP violation. */
  async function isReadable(view: View): Promise<void> {
    await browser.page.open(`${proxy.adminUrl}/?refresh=off`, view);
    const label = `${view.width} ${view.scheme}`;
    expect(await browser.page.evaluate('document.documentElement.scrollWidth - innerWidth'), label).toBeLessThanOrEqual(
      0,
    );
    expect(await browser.page.evaluate(PALE), label).toEqual([]);
    expect(browser.page.complaints, label).toEqual([]);
    const elsewhere = browser.page.requests.filter((url) => !/^http:\/\/127\.0\.0\.1:\d+\/(\?refresh=off)?$/.test(url));
    expect(elsewhere.filter((url) => !url.endsWith('/favicon.ico'))).toEqual([]);
  }

  test('calm: it says so, counts the requests, and says that there is nothing to do', async () => {
    await deliver(SECRET, { times: 12 });
    const { title, pill, advice, text } = await look();
    expect(title).toBe('Ready · entrupy-signature-proxy');
    expect(pill).toBe('● Ready');
    expect(advice).toHaveLength(1);
    expect(advice[0]).toMatch(/^● OK\. All is well: 12 requests served and none refused/);
    expect(text).toMatch(/Recent refusals\s+None since the start\./);
  });

  test('attacked: how many were refused, why, from where, and that deliveries still go through', async () => {
    await deliver(SECRET, { times: 5 });
    await deliver('somebody else’s secret, 32 bytes or more', { times: 20 });
    await deliver(null, { times: 3 });
    await deliver(null, { path: '/notify?token=very-private' });
    await deliver(null, { path: '/%3Cscript%3Ealert(1)%3C%2Fscript%3E' });
    const { advice, rows, text, scripts } = await look();
    expect(advice[0]).toMatch(
      /^▲ Look at this\. 20 signatures were refused in the last hour, beside 5 accepted.*\. Each is signed with another secret/,
    );
    expect(advice[1]).toMatch(
      /5 requests without a signature were refused .*missing_signature\. 5 deliveries got through\. Ignore them if/,
    );
    expect(text).toContain('No live secret of the route produces this signature.');
    expect(text).toContain('There is no Entrupy-Signature header.');
    expect(text).toContain('127.0.0.1');
    expect(rows.find((cells) => cells[4]?.startsWith('signature_mismatch'))?.[1]).toBe('20');
    expect(text).not.toContain('very-private');
    expect(scripts).toBe(0);
  });

  test('scanned: the background noise of a public port leaves it calm', async () => {
    await deliver(SECRET, { times: 3 });
    for (const path of ['/notify', '/.env', '/wp-login.php']) await (await fetch(proxy.url + path)).arrayBuffer();
    const { title, advice, text } = await look();
    expect(title).toBe('Ready · entrupy-signature-proxy');
    expect(advice).toEqual([expect.stringMatching(/^● OK\. All is well: 3 requests served/)]);
    expect(text).toContain('method_not_allowed');
  });

  test('a wrong secret: everything is refused, and a sentence names the likely cause', async () => {
    await deliver(`${SECRET}\n`, { times: 4 });
    const { advice, text } = await look();
    expect(advice[0]).toMatch(/^✕ Act now\. No signature was accepted on \/notify since the start.*4 were refused/);
    expect(advice[0]).toContain('Likely cause:');
    expect(text).toMatch(/Likely cause: .*(newline|line break)/i);
  });

  test('rotating: both secrets, the end of the old one, and which one the senders use', async () => {
    await deliver(SECRET, { times: 3 });
    await writeFile(join(proxy.directory, 'secrets', 'current'), NEXT);
    await proxy.waitForLog(({ msg }) => msg === 'reloaded', 'the reload');
    await deliver(SECRET, { times: 2 });
    const { advice, rows, text } = await look();
    expect(advice[0]).toMatch(
      /Rotation: senders still sign with the old value of current \(\d+ s ago\), which ends in 23 h/,
    );
    const row = (id: string) => rows.find((cells) => cells[0] === id)?.join(' | ');
    expect(row('current')).toMatch(/live \| not since the start \| no end/);
    expect(row('current.previous')).toMatch(/live \| .*ago.* \| .*ends in 2\d h/);
    expect(text).toMatch(/Last reload\s+● succeeded/);
    await deliver(NEXT);
    await browser.page.open(`${proxy.adminUrl}/?refresh=off`, DESK);
    const after = await browser.page.evaluate<Seen>(SEEN);
    expect(after.rows.find((cells) => cells[0] === 'current')?.join(' ')).toMatch(/ago/);
  });

  test('broken: each problem, the worst first, with its remedy', async () => {
    await deliver(SECRET, { times: 2 });
    await upstream.close();
    await deliver(SECRET, { times: 2 });
    await writeFile(proxy.configFile, 'upstreem: nonsense\n');
    await proxy.waitForLog(({ msg }) => String(msg).startsWith('reload failed'), 'the failed reload');
    const { title, advice, rows, text } = await look();
    expect(title).toBe('✕ Act now · Ready · entrupy-signature-proxy');
    expect(advice[0]).toMatch(
      /^✕ Act now\. The upstream .* accepts no connections \(ECONNREFUSED\)\. Start it, or correct upstream\.url\./,
    );
    expect(advice.join('\n')).toContain(
      'The last reload failed, so the previous configuration and secrets are still in use',
    );
    expect(advice.join('\n')).toContain('upstreem');
    expect(text).toMatch(/The upstream gave no complete response: connect(?: \(ECONNREFUSED\))?\./);
    expect(text).toMatch(/Deliveries that may be lost/);
    expect(advice.join('\n')).toMatch(/2 deliveries of the last day may be lost.*Entrupy documents no retry/);
    expect(rows.filter((cells) => cells[1]?.includes('route /notify') && cells[2] === '502')).toHaveLength(2);
  });

  test('it refreshes itself, and stops on request', async () => {
    await browser.page.open(`${proxy.adminUrl}/`, DESK);
    await deliver(SECRET, { times: 7 });
    await browser.page.nextLoad();
    expect((await browser.page.evaluate<Seen>(SEEN)).advice[0]).toContain('7 requests served');
    await browser.page.evaluate('document.querySelector("footer a").click()');
    await browser.page.nextLoad();
    expect(await browser.page.evaluate('document.querySelectorAll("meta[http-equiv=refresh]").length')).toBe(0);
  });
});

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
