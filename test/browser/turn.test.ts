import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type CallerSite, launchBrowser, serveCallerSite } from '../support/browser.ts';
import { expectSound } from '../support/caller.ts';
import { TestServer } from '../support/server.ts';
import { TurnServer } from '../support/turn.ts';

let server: TestServer;
let turn: TurnServer;
let site: CallerSite;
let browser: Browser;
let page: Page;

beforeAll(async () => {
  [server, turn, site, browser] = await Promise.all([
    TestServer.start(),
    TurnServer.start(),
    serveCallerSite(),
    launchBrowser(),
  ]);
  page = await site.open(browser);
});
afterAll(async () => {
  await browser?.close();
  await turn?.stop();
  await site?.close();
  await server?.stop();
});

describe('a caller whose network lets nothing through but a TURN server', { timeout: 60_000 }, () => {
  it('hears itself come back through it', async () => {
    const { ws_url, endpoint_id, token } = await server.mint('ep_echo');
    await page.evaluate(
      async ([url, endpointId, token, iceServer]) => {
        const ice = { iceServers: [iceServer], iceTransportPolicy: 'relay' as const };
        globalThis.call = sdk.connect({ url, endpointId, token, media: { audio: true }, ...ice });
        call.on('participants', (streams) => {
          const srcObject = streams.get(sdk.REMOTE) ?? null;
          document.body.replaceChildren(Object.assign(document.createElement('video'), { srcObject, autoplay: true }));
        });
        await call.live;
      },
      [ws_url, endpoint_id, token, turn.iceServer] as const,
    );
    await expectSound(page);
    const ways = await page.evaluate(async () => {
      const reports = [...(await call.getStats()).values()];
      const locals = reports.filter(({ type }) => type === 'local-candidate');
      return [...new Set(locals.map(({ candidateType }) => candidateType as string))];
    });
    expect(ways).toEqual(['relay']);
  });
});
