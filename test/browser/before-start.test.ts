import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type CallerSite, launchBrowser, serveCallerSite } from '../support/browser.ts';
import { startCall } from '../support/caller.ts';
import { TestServer } from '../support/server.ts';

let server: TestServer;
let site: CallerSite;
let browser: Browser;
let page: Page;

beforeAll(async () => {
  const config = { admission: { start_timeout_ms: 300 } };
  [server, site, browser] = await Promise.all([TestServer.start({ config }), serveCallerSite(), launchBrowser()]);
});
beforeEach(async () => {
  page = await site.open(browser);
});
afterEach(() => page.close());
afterAll(async () => {
  await browser?.close();
  await site?.close();
  await server?.stop();
});

const given = async () => {
  const { id, ws_url: url, endpoint_id: endpointId, token } = await server.mint('ep_echo');
  const isIssued = async () => expect((await server.read(id)).status).toBe('issued');
  return { options: { url, endpointId, token }, isIssued };
};

describe('a call', { timeout: 60_000 }, () => {
  it('that was given up before it began shows its token to nobody, asks for no device, and tells its end', async () => {
    const { options, isIssued } = await given();
    const seen = await page.evaluate(async (options) => {
      let asked = 0;
      navigator.mediaDevices.getUserMedia = async () => {
        asked += 1;
        return new MediaStream();
      };
      let told = 0;
      const call = sdk.connect({ ...options, signal: AbortSignal.abort() });
      call.on('ended', () => {
        told += 1;
      });
      const live = await call.live.catch(({ code }) => code);
      return { asked, told, live, ...(await call.ended) };
    }, options);
    expect(seen).toEqual({ asked: 0, told: 1, live: 'aborted', reason: 'completed' });
    await isIssued();
  });

  it.each<[what: string, more: object]>([
    ['ICE servers', { iceServers: [{ urls: 'turn:turn.example' }] }],
    ['addresses of ICE servers', { iceServers: [{ urls: 'stunt:turn.example' }] }],
    ['a policy', { iceTransportPolicy: 'none' }],
    ['a certificate', { certificate: {} }],
  ])('with %s that the browser refuses is thrown, and its token is not spent', async (_, more) => {
    const { options, isIssued } = await given();
    const code = await page.evaluate(
      ([options, more]) => {
        try {
          return sdk.connect({ ...options, ...more }).state;
        } catch (error) {
          return (error as { code?: string }).code;
        }
      },
      [options, more] as const,
    );
    expect(code).toBe('options_invalid');
    await isIssued();
  });

  it('takes longer to get its token than the server waits for it', async () => {
    const { options } = await given();
    const live = page.evaluate(async ({ url, endpointId, token }) => {
      const getToken = () => new Promise<string>((resolve) => setTimeout(resolve, 1000, token));
      const call = sdk.connect({ url, endpointId, getToken, media: { audio: 'recvonly' } });
      await call.live;
      return call.state;
    }, options);
    expect(await live).toBe('live');
  });

  it('says that a page has no devices, which came by http:, to whoever listens after it began', async () => {
    await page.evaluate(() => Object.defineProperty(navigator, 'mediaDevices', { value: undefined }));
    await startCall(page, await server.mint('ep_echo'), { audio: true, video: true });
    await page.evaluate(() => call.live);
    expect(await page.evaluate(() => seen.errors)).toEqual(['audio media_unavailable', 'video media_unavailable']);
  });
});
