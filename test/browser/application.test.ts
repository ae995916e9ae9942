import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TestApplication } from '../support/application.ts';
import { type CallerSite, launchBrowser, serveCallerSite } from '../support/browser.ts';
import { ending, expectSound, startCall } from '../support/caller.ts';
import { TestServer } from '../support/server.ts';

declare global {
  var connection: RTCPeerConnection;
  var notes: unknown[];
}

let application: TestApplication;
let server: TestServer;
let site: CallerSite;
let browser: Browser;
let page: Page;

beforeAll(async () => {
  application = await TestApplication.start();
  // An agent that says what it hears.
  application.onCall = (agent) =>
    agent.socket.on('message', (text) => {
      const { event, media } = JSON.parse(String(text));
      if (event === 'media') agent.say(Buffer.from(media.payload, 'base64'));
    });
  const target = `{ kind: stream, url: "${application.url}", format: media-streams }`;
  const endpoints = `\n      - { id: ep_agent, flow: flow_a, webrtc: true, target: ${target} }`;
  [server, site, browser] = await Promise.all([TestServer.start({ endpoints }), serveCallerSite(), launchBrowser()]);
  page = await site.open(browser);
});
afterAll(async () => {
  await browser?.close();
  await site?.close();
  await server?.stop();
  await application?.stop();
});

describe('a call from a page to an application', { timeout: 90_000 }, () => {
  it('is heard both ways, in G.711, with keys and messages, until the application hangs up', async () => {
    await page.evaluate(() => {
      globalThis.notes = [];
      globalThis.RTCPeerConnection = class extends RTCPeerConnection {
        constructor(configuration?: RTCConfiguration) {
          super(configuration);
          globalThis.connection = this;
        }
      };
    });
    await startCall(page, await server.mint('ep_agent'), { audio: true });
    await page.evaluate(() => {
      call.on('application', (state) => void notes.push(state));
      call.on('message', (content) => void notes.push(content));
      return call.live;
    });
    await expectSound(page);
    const codecs = await page.evaluate(async () =>
      [...(await call.getStats()).values()].filter(({ type }) => type === 'codec').map(({ mimeType }) => mimeType),
    );
    expect(new Set(codecs)).toEqual(new Set(['audio/PCMU']));

    const agent = application.calls[0]!;
    await page.evaluate(() => {
      call.sendDtmf('1#');
      call.send({ said: 'hello' });
    });
    await expect
      .poll(() => agent.of('message').map(({ message }) => message))
      .toEqual([{ content: { said: 'hello' } }]);
    await page.evaluate(() => connection.getSenders()[0]!.dtmf!.insertDTMF('42', 100, 50));
    await expect
      .poll(
        () =>
          agent
            .of('dtmf')
            .map(({ dtmf }) => dtmf!.digit)
            .join(''),
        { timeout: 5000 },
      )
      .toBe('1#42');
    agent.send({ event: 'message', message: { content: 'caption' } });
    await expect.poll(() => page.evaluate(() => notes)).toContain('caption');

    agent.socket.close(1000);
    expect(await ending(page)).toEqual({ reason: 'completed' });
  });
});
