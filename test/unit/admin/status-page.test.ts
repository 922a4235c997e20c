import { createHash } from 'node:crypto';
import { beforeEach, expect, test, vi } from 'vitest';
import { pageHeaders, renderStatusPage } from '../../../src/admin/page/page.ts';
import { statusLines } from '../../../src/commands/check.ts';
import type { Facts } from '../../../src/facts.ts';
import { accepted, CONFIG, CURRENT, DEFERRED, hint, judged, NOTIFY, NOW, ONCE, refused } from '../fixtures.ts';
import { type Coming, judgedAfter, times } from '../health/fixtures.ts';

beforeEach(() => void vi.useFakeTimers({ now: NOW }));

/** The page with these facts, after these requests. */
const page = (facts: Partial<Facts> = {}, ...came: readonly Coming[]) => renderStatusPage(judgedAfter(came, facts));

const XSS = `"><script>alert('1')</script><img src=x onerror=alert(2)>`;

test('what happened while the snapshot was taken is not in the future', () => {
  vi.setSystemTime(NOW + 5);
  expect(page({}, refused())).not.toContain('>in 0 s<');
});

test('text from clients, files and names is escaped', () => {
  const request = refused({ path: `/${XSS}`, method: XSS, hint: hint('another-secret', XSS), client: XSS, route: XSS });
  const facts = {
    version: XSS,
    nodeVersion: XSS,
    causes: [XSS],
    ready: false,
    upstream: { url: XSS, reachable: true, error: null, certificate: null, exposed: false, exposure: 'off' as const },
    routes: [{ ...NOTIFY, path: XSS, methods: [XSS], secretIds: [XSS] }],
    secrets: [{ ...CURRENT, id: XSS, source: XSS, problem: XSS }],
    config: { ...CONFIG, file: XSS, sha256: XSS, warnings: [XSS] },
    lastReload: { ok: false, at: NOW, error: XSS, refused: true },
  };
  const text = page(facts, request);
  expect(text).not.toMatch(/<script|<img|onerror=alert\(2\)>/);
  expect(text.match(/&#60;script&#62;/g)?.length).toBeGreaterThanOrEqual(14);
});

test('refusals are groups with their count; possibly lost deliveries have their own section, if there are any', () => {
  const failed = { status: 502, upstreamFailure: 'connect', upstreamError: 'ENOTFOUND', bodySha256: 'ab12' } as const;
  const text = page({}, ...times(7, refused()), accepted(failed));
  expect(text).toContain('data-label="Count">7</td>');
  expect(text).toContain('<h2 id="undelivered">Deliveries that may be lost</h2>');
  expect(text).toContain('connect (ENOTFOUND)');
  expect(text).toContain('<code>ab12</code>');
  expect(page({}, refused())).not.toContain('id="undelivered"');
});

test('the fates of deliveries have figures, and each route shows its settings and when the app last took one', () => {
  const failed = accepted({ status: 500, upstreamStatus: 500 });
  const text = page({}, ...times(12, accepted()), ...times(3, failed));
  for (const figure of ['<dt>taken</dt><dd>12</dd>', '<dt>failed</dt><dd>3</dd>', '<dt>refused by the app</dt>'])
    expect(text).toContain(figure);
  expect(text).toMatch(/methods POST; maxBody 1MiB; query forward<\/td>.*"Last taken"><time[^>]*>0 s ago/);
});

test('the certificates have their files and dates, below the tables or, where one ends soon, at the top', () => {
  const until = (days: number) =>
    ({ certificate: 'listen', file: '/tls/tls.crt', notBefore: 0, notAfter: NOW + days * 86_400_000 }) as const;
  expect(page({ certificates: [until(30)] })).toContain(
    '<dt>certificates</dt><dd>TLS certificates: /tls/tls.crt until 2026-12-24.</dd>',
  );
  const ending = page({ certificates: [until(3)] });
  expect(ending).toMatch(/<li class="warning">.*\/tls\/tls\.crt expires in 3 days, at 2026-11-27 12:00 UTC/);
  expect(ending).not.toContain('<dt>certificates</dt>');
});

test('the documentation is linked if its address is known, else its files are named', () => {
  const linked = page({ docs: 'https://git.example/docs' });
  expect(linked).toContain('<a href="https://git.example/docs/troubleshooting.md"');
  expect(page()).toContain('<code>docs/troubleshooting.md</code>');
});

test('control characters and bidirectional marks are made visible', () => {
  expect(page({}, refused({ path: '/a\u0000\u001b\u202eb' }))).toContain('/a\\u0000\\u001b\\u202eb');
});

test('the CSP allows the page’s only style, and the page needs nothing else', () => {
  const text = page();
  const style = /<style>([\s\S]*)<\/style>/.exec(text)?.[1] ?? '';
  const policy = pageHeaders('')['Content-Security-Policy'];
  expect(policy).toContain(`style-src 'sha256-${createHash('sha256').update(style).digest('base64')}'`);
  expect(policy).toContain("default-src 'none'");
  expect(text).not.toMatch(/<script|<link|<img|<form|<iframe|\sstyle=|\son\w+=|https?:\/\/(?!127\.0\.0\.1:3000)/);
});

test('each state is a word, and the title shows it', () => {
  expect(page()).toContain('<title>Ready · entrupy-signature-proxy</title>');
  expect(page({ ready: false })).toContain('<title>✕ Act now · Not ready ·');
  expect(page({ draining: true, ready: false })).toContain('<title>▲ Look at this · Draining ·');
  const secrets = (['live', 'not_yet', 'expired', 'unusable'] as const).map((state) => ({ ...CURRENT, state }));
  const text = page({ secrets, routes: [{ ...NOTIFY, mode: 'report', reportUntil: NOW + 86_400_000 * 3 }] });
  for (const word of ['live', 'not yet', 'expired', 'unusable', 'reports'])
    expect(text).toContain(`</span> ${word}</span>`);
  expect(text).toContain('reportUntil 2026-11-27T12:00:00Z');
});

test('it has landmarks, one h1, named sections, and tables with captions and scoped headers', () => {
  const text = page({}, refused());
  for (const tag of ['<header>', '<main>', '<footer', '<html lang="en">', 'name="viewport"'])
    expect(text).toContain(tag);
  expect(text.match(/<h1>/g)).toHaveLength(1);
  expect(text.match(/<caption>/g)).toHaveLength(3);
  for (const [, id = ''] of text.matchAll(/aria-labelledby="(\w+)"/g)) expect(text).toContain(`<h2 id="${id}">`);
  expect(text).not.toMatch(/<th>/);
});

test('a store that has not answered yet is not known to work, nor to be empty', () => {
  const deferred = { ...DEFERRED, waiting: 0, oldest: null, deliveries: [] };
  const said = (isKnown: boolean) => {
    const status = judged({
      deferred: { ...deferred, state: isKnown ? 'works' : 'unknown' },
      once: { ...ONCE, isKnown },
    });
    const lines = statusLines(status).filter(({ id }) => id === 'redelivery' || id === 'once');
    return [
      lines.map(({ id, state }) => `${id} ${state}`).sort(),
      renderStatusPage(status).split('not known yet').length - 1,
    ];
  };
  expect(said(true)).toEqual([['once ok', 'redelivery ok'], 0]);
  expect(said(false)).toEqual([['once unknown', 'redelivery unknown'], 2]);
});
