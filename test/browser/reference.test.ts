import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
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

  it.each(['light', 'dark'] as const)(
    'shows every call in %s, from this server alone, under its policy',
    async (colorScheme) => {
      const page = await browser.newPage({ colorScheme });
      const complaints: string[] = [];
      const elsewhere: string[] = [];
      page.on('console', (message) => {
        if (message.type() === 'error') complaints.push(message.text());
      });
      page.on('pageerror', (error) => complaints.push(error.message));
      page.on('request', (request) => {
        if (!request.url().startsWith(`${api.url}/`) && !request.url().startsWith('data:'))
          elsewhere.push(request.url());
      });
      const response = await page.goto(`${api.url}/docs`);
      expect(response?.headers()['content-security-policy']).toContain("script-src 'self';");
      for (const summary of ['Mint a call token', 'List call tokens', 'Read a call token', 'Revoke a call token']) {
        await page.getByText(summary, { exact: true }).click();
      }
      await page.getByText('It is in this answer only').waitFor();
      expect(await page.locator('html.dark-mode').count()).toBe(colorScheme === 'dark' ? 1 : 0);
      for (const asksForKey of ['Authorize', 'Try it out', 'Execute']) {
        expect(await page.getByRole('button', { name: asksForKey }).filter({ visible: true }).count()).toBe(0);
      }
      expect({ complaints, elsewhere }).toEqual({ complaints: [], elsewhere: [] });
      await page.close();
    },
  );
});
