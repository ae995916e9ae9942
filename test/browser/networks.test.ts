import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  arrived,
  ending,
  expectMedia,
  expectPictures,
  expectSound,
  liveCall,
  SMALL,
  startCall,
} from '../support/caller.ts';
import { describeElsewhere } from '../support/network.ts';
import { type BrowserName, closeAll, OtherHost } from '../support/other-host.ts';
import { TestServer } from '../support/server.ts';

declare global {
  var lastSocket: WebSocket;
}

const GAP_MS = 12_000;
const within = { timeout: 10_000 };

(await describeElsewhere())('on another host', { timeout: 90_000 }, () => {
  let host: OtherHost;
  beforeAll(async () => {
    host = await OtherHost.start('Firefox', 'Chromium');
  });
  afterAll(() => host?.stop());

  describe.each<BrowserName>(['Firefox', 'Chromium'])('%s', (name) => {
    it('hears and sees in a room who joins after it, and is heard and seen', async () => {
      const pages = await Promise.all([host.open(name), host.open(name)]);
      for (const page of pages) await liveCall(page, host.server, 'ep_room');
      await Promise.all(pages.map(expectMedia));
      await closeAll(pages);
    });

    it('goes on after an ICE restart', async () => {
      const page = await host.open(name);
      await liveCall(page, host.server, 'ep_echo');
      await expectPictures(page);
      const negotiated = () => page.evaluate(() => call.session?.expiresInMs);
      const before = await negotiated();
      await page.evaluate(() => globalThis.dispatchEvent(new Event('online')));
      await expect.poll(negotiated, within).not.toBe(before);
      await expectMedia(page);
      await page.close();
    });

    it('comes back to its session when its socket is lost', async () => {
      const page = await host.open(name);
      await page.evaluate(() => {
        globalThis.WebSocket = class extends WebSocket {
          constructor(url: string | URL, protocols?: string | string[]) {
            super(url, protocols);
            globalThis.lastSocket = this;
          }
        };
      });
      await liveCall(page, host.server, 'ep_echo');
      const session = () => page.evaluate(() => call.session?.id);
      const before = await session();
      // Anything but 1000 and 1001 is a loss.
      await page.evaluate(() => lastSocket.close(3000));
      await expect
        .poll(() => page.evaluate(() => seen.states.slice(2)), within)
        .toEqual(['live', 'reconnecting', 'live']);
      expect(await session()).toBe(before);
      await expectMedia(page);
      await page.close();
    });

    it('sends a camera that is added to a call of sound', async () => {
      const page = await host.open(name);
      await liveCall(page, host.server, 'ep_echo', { audio: true, video: false });
      await expectSound(page);
      expect((await arrived(page)).frames).toEqual([]);
      await page.evaluate(async (video) => {
        const [track] = (await navigator.mediaDevices.getUserMedia({ video })).getVideoTracks();
        await call.replaceTrack('video', track ?? null);
      }, SMALL);
      await expectMedia(page);
      await page.close();
    });
  });

  it('Firefox and Chromium go on in a room after their network was away for 12 s', async () => {
    const pages = await Promise.all([host.open('Firefox'), host.open('Chromium')]);
    await Promise.all(pages.map((page) => liveCall(page, host.server, 'ep_room')));
    await Promise.all(pages.map((page) => expectPictures(page)));
    await host.network.unplug();
    await delay(GAP_MS);
    await host.network.plug();
    await Promise.all(pages.map(expectMedia));
    await closeAll(pages);
  });

  it('a call whose media cannot connect ends with connect_timeout in Firefox and Chromium, ICE restarts or not', async () => {
    const log: string[] = [];
    const unreachable = await TestServer.start({
      config: {
        http: { host: host.network.address },
        media: { listen_addresses: ['127.0.0.1'] },
        session: { connect_timeout_ms: 8000 },
      },
      log: { level: 'warn', destination: { write: (line) => void log.push(line) } },
    });
    const pages = await Promise.all([host.open('Firefox'), host.open('Chromium')]);
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
    await closeAll(pages);
    await unreachable.stop();
  });
});
