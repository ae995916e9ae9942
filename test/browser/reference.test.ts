import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { OPERATIONS } from '../../src/reference/operations.ts';
import { startApi, type TestApi } from '../support/api.ts';
import { launchBrowser } from '../support/browser.ts';

describe('the reference page', () => {
  let api: TestApi;
  let browser: Browser;
  beforeAll(async () => {
    api = await startApi();
    browser = await launchBrowser();
  });
  afterAll(async () => {
    await browser.close();
    await api[Symbol.asyncDispose]();
  });

  it.each(['/docs', '/docs/'])('shows every call with its samples at %s, from this server alone', async (path) => {
    const page = await browser.newPage();
    const complaints: string[] = [];
    const elsewhere: string[] = [];
    page.on('console', (message) => {
      if (message.type() === 'error') complaints.push(message.text());
    });
    page.on('request', (request) => {
      if (!request.url().startsWith(`${api.url}/`) && !request.url().startsWith('data:')) elsewhere.push(request.url());
    });
    const response = await page.goto(api.url + path);
    expect(response?.headers()['content-security-policy']).toContain("default-src 'none'");
    for (const [id, { summary }] of Object.entries(OPERATIONS)) {
      await page.getByRole('link', { name: summary }).click();
      const article = page.locator(`#${id}`);
      expect(await article.getByRole('heading', { name: summary }).isVisible()).toBe(true);
      expect(await article.locator('figcaption').first().textContent()).toBe('curl');
      expect(await article.getByText('JavaScript', { exact: true }).isVisible()).toBe(true);
    }
    const styled = await page
      .locator('article')
      .first()
      .evaluate((element) => getComputedStyle(element).borderTopWidth);
    expect(styled).toBe('1px');
    const [document] = await Promise.all([
      page.waitForResponse(/openapi\.json$/),
      page.getByRole('link', { name: '/openapi.json' }).click(),
    ]);
    expect(document.ok()).toBe(true);
    expect({ complaints, elsewhere }).toEqual({ complaints: [], elsewhere: [] });
    await page.close();
  });

  it.each([320, 390, 1600])('is no wider than a screen of %i pixels, with everything opened', async (width) => {
    const page = await browser.newPage({ viewport: { width, height: 800 } });
    await openAll(page);
    const excess = await page.evaluate(
      () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
    );
    expect(excess).toBe(0);
    expect(await page.evaluate(() => document.documentElement.clientWidth)).toBeLessThanOrEqual(width);
    await page.close();
  });

  it.each(['light', 'dark'] as const)(
    'has the contrast of WCAG AA in every text when it is %s',
    async (colorScheme) => {
      const page = await browser.newPage({ colorScheme });
      await openAll(page);
      const faint = await page.evaluate(textsBelow, 4.5);
      expect(faint).toEqual([]);
      await page.close();
    },
  );

  async function openAll(page: Page): Promise<void> {
    await page.goto(`${api.url}/docs`);
    for (const details of await page.locator('details > summary').all()) await details.click();
  }
});

/** Runs in the page: the texts whose contrast (WCAG 2, relative luminance) to what they stand on is below `least`. */
function textsBelow(least: number): string[] {
  const channels = (color: string) => (color.match(/[\d.]+/g) ?? []).map(Number);
  const luminance = (color: string) => {
    const [red = 0, green = 0, blue = 0] = channels(color).map((value) => {
      const part = value / 255;
      return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const ground = (element: Element | null): string => {
    if (!element) return 'rgb(255, 255, 255)';
    const color = getComputedStyle(element).backgroundColor;
    return channels(color)[3] === 0 ? ground(element.parentElement) : color;
  };
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const faint: string[] = [];
  for (let node = texts.nextNode(); node; node = texts.nextNode()) {
    const element = node.parentElement;
    if (!element || node.nodeValue?.trim() === '') continue;
    const [light = 0, dark = 0] = [getComputedStyle(element).color, ground(element)]
      .map(luminance)
      .sort((a, b) => b - a);
    if ((light + 0.05) / (dark + 0.05) < least) faint.push(node.nodeValue ?? '');
  }
  return faint;
}
