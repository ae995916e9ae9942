import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type CallerPage, type CallerSite, launchBrowser, serveCallerSite } from '../support/browser.ts';
import { arrived, ending, expectPictures, expectSound, liveCall, SMALL, startCall } from '../support/caller.ts';
import { Firefox } from '../support/firefox.ts';
import { describeElsewhere, Network } from '../support/network.ts';
import { TestServer } from '../support/server.ts';

const GAP_MS = 12_000;
const within = { timeout: 10_000 };

let network: Network;
let server: TestServer;
let site: CallerSite;
let firefox: Firefox;
let chromium: Browser;

const open = (name: string): Promise<CallerPage> => (name === 'Firefox' ? site.open(firefox) : site.open(chromium));
const close = (...pages: CallerPage[]) => Promise.all(pages.map((page) => page.close()));
/** The call is live, and what has gone through the server comes in now. */
const expectMedia = async (page: CallerPage) => {
  await expectSound(page);
  await expectPictures(page);
  expect(await page.evaluate(() => [seen.states.at(-1), ...seen.errors])).toEqual(['live']);
};

(await describeElsewhere())('on another host', { timeout: 90_000 }, () => {
  beforeAll(async () => {
    network = await Network.create();
    const { address } = network;
    const config = { http: { host: address }, media: { listen_addresses: [address] } };
    [server, site] = await Promise.all([TestServer.start({ config }), serveCallerSite(address)]);
    firefox = await Firefox.launch(network);
    chromium = await launchBrowser({ network, site });
  });
  afterAll(async () => {
    await Promise.all([firefox?.close(), chromium?.close()]);
    await site?.close();
    await server?.stop();
    await network?.remove();
  });

  describe.each(['Firefox', 'Chromium'])('%s', (name) => {
    it('hears and sees in a room who joins after it, and is heard and seen', async () => {
      const pages = await Promise.all([open(name), open(name)]);
      for (const page of pages) await liveCall(page, server, 'ep_room');
      await Promise.all(pages.map(expectMedia));
      await close(...pages);
    });

    it('goes on after an ICE restart', async () => {
      const page = await open(name);
      await liveCall(page, server, 'ep_echo');
      await expectPictures(page);
      const negotiated = () => page.evaluate(() => call.session?.expiresInMs);
      const before = await negotiated();
      await page.evaluate(() => globalThis.dispatchEvent(new Event('online')));
      await expect.poll(negotiated, within).not.toBe(before);
      await expectMedia(page);
      await close(page);
    });

    it('sends a camera that is added to a call of sound', async () => {
      const page = await open(name);
      await liveCall(page, server, 'ep_echo', { audio: true, video: false });
      await expectSound(page);
      expect((await arrived(page)).frames).toEqual([]);
      await page.evaluate(async (video) => {
        const [track] = (await navigator.mediaDevices.getUserMedia({ video })).getVideoTracks();
        await call.replaceTrack('video', track ?? null);
      }, SMALL);
      await expectMedia(page);
      await close(page);
    });
  });

  it('Firefox and Chromium go on in a room after their network was away for 12 s', async () => {
    const pages = await Promise.all([open('Firefox'), open('Chromium')]);
    await Promise.all(pages.map((page) => liveCall(page, server, 'ep_room')));
    await Promise.all(pages.map((page) => expectPictures(page)));
    await network.unplug();
    await new Promise((resolve) => setTimeout(resolve, GAP_MS));
    await network.plug();
    await Promise.all(pages.map(expectMedia));
    await close(...pages);
  });

  it('a call in Chromium ends when its network does not come back, and says what it waited for', async () => {
    const page = await site.open(chromium);
    await page.clock.install();
    await liveCall(page, server, 'ep_echo');
    await network.unplug();
    const state = async () => {
      // Chromium takes its own time to see that nothing comes any more; what the SDK waits for passes quickly.
      await page.clock.fastForward(1000);
      return page.evaluate(() => call.state);
    };
    await expect.poll(state, { timeout: 30_000 }).toBe('ended');
    await network.plug();
    expect(await page.evaluate(async () => (await call.ended).error?.message)).toMatch(/offer that restart_ice/);
    await close(page);
  });

  it('a call whose media cannot connect ends with connect_timeout in Firefox and Chromium, ICE restarts or not', async () => {
    const log: string[] = [];
    const unreachable = await TestServer.start({
      config: {
        http: { host: network.address },
        media: { listen_addresses: ['127.0.0.1'] },
        session: { connect_timeout_ms: 8000 },
      },
      log: { level: 'warn', destination: { write: (line) => void log.push(line) } },
    });
    const pages = await Promise.all([open('Firefox'), open('Chromium')]);
    for (const page of pages) await startCall(page, await unreachable.mint('ep_echo'), { audio: true });
    for (const page of pages) {
      await expect.poll(() => page.evaluate(() => call.timings.answered !== undefined), within).toBe(true);
      await page.evaluate(() => globalThis.dispatchEvent(new Event('online')));
    }
    for (const page of pages) {
      expect(await ending(page)).toEqual({ reason: 'connect_timeout' });
      const error = await page.evaluate(() => call.live.catch(({ code, message }) => `${code}: ${message}`));
      expect(error).toMatch(/^connect_timeout: .*firewalls.*UDP and TCP.*announced address/);
    }
    expect(log.join('')).toContain('media did not connect: check that the firewall');
    await close(...pages);
    await unreachable.stop();
  });
});
