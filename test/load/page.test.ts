import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { htmlPage } from '../../src/load/page.ts';
import type { Report } from '../../src/load/report.ts';
import { launchBrowser } from '../support/browser.ts';
import { sampleReport } from '../support/page-report.ts';

const HOSTILE = [
  '<script>document.title = "taken"</script>',
  '"><img src=x onerror="document.title=\'taken\'">',
  "' onmouseover='document.title=1' x='",
  '</style><style>@import "http://127.0.0.1:9/x.css"</style>',
  '<svg onload=alert(1)>&lt;b&gt;&amp;',
  'javascript:alert(1)',
];

describe('the page of a report', { timeout: 30_000 }, () => {
  let folder: string;
  let browser: Browser;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'callgate-page-'));
    browser = await launchBrowser();
  }, 60_000);
  afterAll(async () => {
    await browser?.close();
    await rm(folder, { recursive: true });
  });

  interface Shown {
    page: Page;
    /** Everything that went wrong, and every address that was asked for but the page's own. */
    trouble: string[];
  }

  const show = async (report: Report, width = 1280): Promise<Shown> => {
    const path = join(folder, 'report.html');
    await writeFile(path, htmlPage(report));
    const page = await browser.newPage({ viewport: { width, height: 900 } });
    onTestFinished(() => page.close());
    const trouble: string[] = [];
    const url = pathToFileURL(path).href;
    page.on('console', (message) => trouble.push(message.text()));
    page.on('pageerror', (error) => trouble.push(error.message));
    page.on('dialog', (dialog) => trouble.push(dialog.message()));
    page.on('request', (request) => request.url() !== url && request.url() !== 'data:,' && trouble.push(request.url()));
    await page.goto(url);
    return { page, trouble };
  };

  const charts = (page: Page) =>
    page.locator('.chart').evaluateAll((figures) =>
      figures.map((figure) => ({
        title: figure.querySelector('h3')?.textContent,
        // What is drawn has a size on the screen; a line may be level.
        marks: [...figure.querySelectorAll('.fill, .wash, .line')].map(
          (mark) => mark.getBoundingClientRect().width > 5,
        ),
      })),
    );

  const text = (page: Page, selector: string) => page.locator(selector).allInnerTexts();

  it('draws every chart, asks for nothing and has nothing to complain about', async () => {
    const { page, trouble } = await show(sampleReport());
    expect(await charts(page)).toEqual([
      { title: 'Sessions at once', marks: [true, true] },
      { title: 'Arrivals per second', marks: [true] },
      { title: 'Arrival to offer', marks: [true, true, true] },
      { title: 'Arrival to connected media', marks: [true, true, true] },
      { title: 'Errors per second', marks: [true] },
    ]);
    expect(trouble).toEqual([]);
  });

  it('tells all of the report', async () => {
    const spread = (p95: number) => ({ count: 104, p50: 1, p90: 2, p95, p99: 50, max: 60 });
    const returns = {
      ...{ losses: 104, attached: 93, adopted: 8, gone: { session_gone: 2, timeout: 1 }, rehomed: 12 },
      ...{ back: spread(14), live: spread(88) },
    };
    const { page } = await show(sampleReport(90, { reuse: { presented: 1781, taken: 0, notPresented: 0 }, returns }));
    expect(await text(page, '.state, h1, h2')).toEqual([
      'callgate',
      'Passed',
      '1,800 sessions, 19 failed',
      'Sessions',
      'Over time',
      'How long each step took',
      'Packets',
      'Ends',
      'Errors',
      'One token, one call',
      'Returns',
    ]);
    expect(await text(page, 'tbody tr')).toEqual(
      [
        'Token minted\t1,800\t3.1\t5.0\t6.5\t11\t48',
        'Socket open\t1,797\t4.6\t7.4\t9.7\t16\t61',
        'Offer there\t1,789\t9.4\t15\t20\t32\t212',
        'Media connected\t1,781\t41\t66\t86\t139\t1,312',
        'First packet back\t1,781\t58\t93\t122\t197\t1,377',
        'End confirmed\t1,781\t2.2\t3.5\t4.6\t7.5\t31',
        'Tester was late\t1,800\t0.3\t0.5\t0.6\t1.0\t9.5',
      ].map((row) => `${row}\t`),
    );
    const facts = (await text(page, 'main')).join().replaceAll(/\s+/g, ' ');
    for (const fact of [
      'planned 1,800 arrived 1,800 offered 1,789 connected 1,781 ended 1,781 failed 19',
      'Began 2026-05-04 09:12:33 UTC Took 1:30 Against http://127.0.0.1:8080 http://127.0.0.1:8090',
      'Asked for --sessions 1800 --rate 25',
      'sent 1,781,204 received 1,780,311 lost 893 0.05%',
      'completed 1,702 expired 61 revoked 12 client_lost 6',
      'timeout 11 unavailable 6 http_503 2',
      'Kept clients for each token 3 one winner 1,800 no winner 0 several winners 0 not held 0',
      'presented again 1,781 taken again 0 not presented again 0 sockets killed 96 sessions resumed 0',
      'sockets lost 104 attached again 93 adopted by another process 8 gone 3 fresh connections 12',
      'resumed, p95 14 ms live again, p95 88 ms',
    ]) {
      expect(facts).toContain(fact);
    }
  });

  it('says why a run failed, and that a promise was broken', async () => {
    const failures = ['offer.p95 is 812 ms, more than 500 ms', 'several clients won 3 tokens'];
    const race = { contenders: 5, oneWinner: 1797, noWinner: 0, severalWinners: 3, notHeld: 0 };
    const { page } = await show(sampleReport(90, { command: 'replay', interrupted: true, failures, race }));
    expect(await text(page, '.state')).toEqual(['Failed']);
    expect(await text(page, '.failures li')).toEqual(failures);
    expect(await text(page, '.stamp, .bad')).toEqual(['893 0.05%', 'Broken', '3']);
    expect(await text(page, '.note')).toEqual(['Interrupted after 1,800 of 1,800 sessions.']);
  });

  it('leaves out what a run did not show', async () => {
    const none = { count: 0, p50: 0, p90: 0, p95: 0, p99: 0, max: 0 };
    const { timings, series, race: _, churn: __, ...report } = sampleReport();
    const { page, trouble } = await show({
      ...report,
      timings: { ...timings, connected: none, first_packet: none },
      packets: { sent: 0, received: 0, lost: 0 },
      errors: {},
      series: series.map(({ connected: _, ...second }) => ({ ...second, errors: 0 })),
    });
    expect((await charts(page)).map(({ title, marks }) => [title, marks.every(Boolean)])).toEqual([
      ['Sessions at once', true],
      ['Arrivals per second', true],
      ['Arrival to offer', true],
    ]);
    expect(await text(page, '.facts h2')).toEqual(['Ends']);
    expect((await text(page, 'tr.none'))[0]).toContain('Media connected');
    expect(trouble).toEqual([]);
  });

  it.each([0, 1, 2, 7200, 100_000])('takes a run of %i seconds', async (seconds) => {
    const { page, trouble } = await show(sampleReport(seconds));
    for (const chart of await charts(page)) if (seconds > 2) expect(chart.marks).not.toContain(false);
    expect(await page.locator('.columns i').count()).toBeLessThanOrEqual(5 * 120);
    expect(await page.content()).not.toMatch(/NaN|Infinity|undefined/);
    expect(trouble).toEqual([]);
  });

  it.each([320, 390, 1280])('fits a screen %i pixels wide', async (width) => {
    const { page } = await show(sampleReport(), width);
    expect(await page.evaluate('document.documentElement.scrollWidth - innerWidth')).toBe(0);
  });

  it('tells what a column holds when it is pointed at', async () => {
    const { page } = await show(sampleReport());
    const offers = page.locator('.chart').nth(2);
    expect(await offers.locator('b:visible').count()).toBe(0);
    await offers.locator('.columns i').nth(30).hover();
    expect(await offers.locator('b:visible').allInnerTexts()).toEqual([
      expect.stringMatching(/^0:30 · p95 .* ms · p50 .* ms$/),
    ]);
  });

  it('is dark on a dark screen, and never on paper', async () => {
    const { page } = await show(sampleReport());
    const background = () => page.evaluate('getComputedStyle(document.body).backgroundColor');
    expect(await background()).toBe('rgb(243, 238, 225)');
    await page.emulateMedia({ colorScheme: 'dark' });
    expect(await background()).toBe('rgb(13, 22, 19)');
    await page.emulateMedia({ colorScheme: 'dark', media: 'print' });
    expect(await background()).toBe('rgb(255, 255, 255)');
  });

  it('shows hostile text as the text that it is', async () => {
    const counts = Object.fromEntries(HOSTILE.map((name, i) => [name, i + 1]));
    const { page, trouble } = await show(
      sampleReport(30, {
        urls: HOSTILE,
        options: HOSTILE,
        failures: HOSTILE,
        errors: counts,
        endReasons: counts,
        startedAt: HOSTILE[0]!,
      }),
    );
    expect(trouble).toEqual([]);
    expect(await page.title()).toBe(`Failed: callgate load, ${HOSTILE[0]}`);
    expect(await page.locator('script, img, a, iframe, [onmouseover], [onerror], [onload]').count()).toBe(0);
    expect(await page.locator('style').count()).toBe(1);
    const shown = (selector: string) => page.locator(selector).evaluateAll((all) => all.map((one) => one.textContent));
    expect(await shown('.failures li')).toEqual(HOSTILE);
    expect(await shown('.summary code')).toEqual([...HOSTILE, ...HOSTILE]);
    expect((await shown('.tally code')).sort()).toEqual([...HOSTILE, ...HOSTILE].sort());
  });

  it('would let no script run that got into it', async () => {
    const { page } = await show(sampleReport());
    await page.setContent(
      htmlPage(sampleReport()).replace('<main>', '<main><script>document.title = "taken"</script>'),
    );
    expect(await page.title()).toMatch(/^Passed/);
  });
});
