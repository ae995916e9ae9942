import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { launchBrowser } from '../support/browser.ts';
import { codeBlocksOf } from '../support/code-blocks.ts';
import { Foreground } from '../support/foreground.ts';
import { Packages, userEnv } from '../support/packages.ts';
import { freePort } from '../support/ports.ts';
import { serveFolder } from '../support/serve-folder.ts';
import { TestServer } from '../support/server.ts';

const blockOf = (page: string, language: string, part = '') =>
  codeBlocksOf(page).find((block) => block.language === language && block.code.includes(part))!.code;
const [SERVER, PAGE] = [blockOf('docs/quickstart.md', 'js'), blockOf('docs/quickstart.md', 'html')];

/** The README's lines for browsers, with the names that they take from a backend. */
const README = `<!doctype html><title>readme</title><div id="call"></div>
<script type="importmap">{ "imports": { "callgate-client": "/node_modules/callgate-client/index.js" } }</script>
<script type="module">
const { ws_url, endpoint_id, token } = Object.fromEntries(new URLSearchParams(location.search));
${blockOf('README.md', 'js', 'callgate-client')}
document.title = 'live';
</script>`;

/** How many of the videos that a selector finds show pictures. */
const playing = (page: Page, selector: string) =>
  page
    .locator(selector)
    .evaluateAll(
      (videos) => (videos as HTMLVideoElement[]).filter((video) => video.videoWidth > 0 && !video.paused).length,
    );
const shows = (page: Page, selector: string, count: number) =>
  expect.poll(() => playing(page, selector), { timeout: 20_000 }).toBe(count);

describe('the quick start', { timeout: 90_000 }, () => {
  let packages: Packages;
  let server: TestServer;
  let backend: Foreground;
  let browser: Browser;
  let project: string;
  let url: string;

  beforeAll(async () => {
    [packages, server, browser] = await Promise.all([Packages.build(), TestServer.start(), launchBrowser()]);
    project = join(packages.folder, 'project');
    await mkdir(join(project, 'node_modules'), { recursive: true });
    for (const name of ['callgate', 'callgate-client']) {
      await symlink(join(packages.folder, name), join(project, 'node_modules', name));
    }
    await writeFile(join(project, 'server.mjs'), SERVER);
    await writeFile(join(project, 'index.html'), PAGE);
    const port = String(await freePort());
    url = `http://localhost:${port}`;
    const env = { PORT: port, CALLGATE: server.running.url, CALLGATE_API_KEY: server.apiKey };
    backend = new Foreground(blockOf('docs/quickstart.md', 'sh').trim(), { cwd: project, env: userEnv(env) });
    await backend.printed(new RegExp(`${url}$`, 'm'));
  }, 120_000);
  afterAll(async () => {
    await browser?.close();
    await backend?.stop();
    await server?.stop();
    await packages?.remove();
  });

  const call = async (): Promise<Page> => {
    const page = await browser.newPage();
    await page.goto(url);
    await page.getByRole('button', { name: 'Call' }).click();
    await expect.poll(() => page.getByRole('status').textContent(), { timeout: 20_000 }).toBe('live');
    return page;
  };

  it('shows everybody in a room to each other, and those who have left no more', async () => {
    const [first, second] = [await call(), await call()] as const;
    for (const page of [first, second]) {
      await shows(page, '#self', 1);
      await shows(page, '#others video', 1);
    }
    await second.getByRole('button', { name: 'Hang up' }).click();
    await expect.poll(() => second.getByRole('status').textContent()).toBe('ended: completed');
    await expect.poll(() => first.locator('#others video').count()).toBe(0);
    for (const page of [first, second]) expect(await page.locator('#self').getAttribute('muted')).toBe('');
    expect(await first.getByRole('button', { name: 'Call' }).isEnabled()).toBe(false);
    await Promise.all([first, second].map((page) => page.close()));
  });

  it('says in the page when there is no token to be had', async () => {
    const page = await browser.newPage();
    await page.route('**/call', (route) => route.fulfill({ status: 503 }));
    await page.goto(url);
    await page.getByRole('button', { name: 'Call' }).click();
    await expect.poll(() => page.getByRole('status').textContent()).toBe('You cannot call now.');
    await page.close();
  });

  it('is shorter in the README, and shows an echo', async () => {
    const { ws_url, endpoint_id, token } = await server.mint('ep_echo');
    const page = await browser.newPage();
    await writeFile(join(project, 'readme.html'), README);
    const site = await serveFolder(project);
    onTestFinished(() => site.close());
    await page.goto(`${site.url}/readme.html?${new URLSearchParams({ ws_url, endpoint_id, token })}`);
    await expect.poll(() => page.title(), { timeout: 20_000 }).toBe('live');
    await shows(page, '#call video', 1);
    await page.close();
  });
});
