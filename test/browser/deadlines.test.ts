import { createServer, type Socket } from 'node:net';
import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type * as Sdk from '../../src/client/index.ts';
import { type CallerSite, launchBrowser, serveCallerSite } from '../support/browser.ts';
import { Relay } from '../support/relay.ts';
import { TestServer } from '../support/server.ts';

let server: TestServer;
let relay: Relay;
let site: CallerSite;
let browser: Browser;
let page: Page;

beforeAll(async () => {
  [server, site, browser] = await Promise.all([TestServer.start(), serveCallerSite(), launchBrowser()]);
  relay = await Relay.start(server.wsUrl);
});
beforeEach(async () => {
  page = await site.open(browser);
  // Time passes as ever, and faster where a test says so.
  await page.clock.install();
});
afterEach(async () => {
  relay.unheard.clear();
  await page.close();
});
afterAll(async () => {
  await browser?.close();
  await relay?.stop();
  await site?.close();
  await server?.stop();
});

interface Options {
  url?: string;
  /** Of the page, run before it calls. */
  prepare?: () => void;
  getToken?: boolean;
  /** Another than the token is for. */
  endpointId?: string;
}

async function begin({
  url = relay.url,
  prepare,
  getToken = false,
  endpointId = 'ep_echo',
}: Options = {}): Promise<void> {
  const { token } = await server.mint('ep_echo');
  if (prepare) await page.evaluate(prepare);
  await page.evaluate(
    ([url, endpointId, token, slow]) => {
      const media = { audio: true, video: { width: 320, height: 240 } };
      const never = () => new Promise<string>(() => {});
      globalThis.call = sdk.connect(
        slow ? { url, endpointId, getToken: never, media } : { url, endpointId, token, media },
      );
    },
    [url, endpointId, token, getToken] as const,
  );
}

const reached = (step: 'socket' | 'answered') =>
  expect.poll(() => page.evaluate((step) => call.timings[step] !== undefined, step), { timeout: 20_000 }).toBe(true);

/** Lets the time of the page pass, and tells how the call has ended by then. */
async function later(seconds: number) {
  await page.clock.fastForward(seconds * 1000);
  return page.evaluate(async () => {
    if (call.state !== 'ended') return { state: call.state };
    const { reason, error } = await call.ended;
    const live = await call.live.then(
      () => 'resolved',
      ({ code }) => code as string,
    );
    const devices = call.local.getTracks().filter(({ readyState }) => readyState === 'live').length;
    return { reason, live, code: error?.code, message: error?.message, devices };
  });
}

const ended = (code: string, message: RegExp, more: object = {}) =>
  expect.objectContaining({ code, message: expect.stringMatching(message), devices: 0, ...more });

describe('a call that waits in vain', { timeout: 60_000 }, () => {
  it('for an address that drops what it is sent, ends and closes the devices', async () => {
    const sockets = new Set<Socket>();
    const silent = createServer((socket) => sockets.add(socket.on('error', () => {}))).listen(0, '127.0.0.1');
    await new Promise((resolve) => silent.once('listening', resolve));
    const { port } = silent.address() as { port: number };
    await begin({ url: `ws://127.0.0.1:${port}/` });
    await expect.poll(() => page.evaluate(() => call.local.getTracks().length), { timeout: 20_000 }).toBe(2);
    expect(await later(10)).toEqual(ended('network_error', /WebSocket to open/, { live: 'network_error' }));
    for (const socket of sockets) socket.destroy();
    silent.close();
  });

  it('for its token', async () => {
    await begin({ getToken: true });
    expect(await later(30)).toEqual(ended('token_unavailable', /getToken/));
  });

  it('for the offer', async () => {
    relay.unheard.add('offer');
    await begin();
    await reached('socket');
    expect(await later(10)).toEqual(ended('network_error', /offer/));
  });

  it('for a certificate', async () => {
    await begin({
      prepare: () => {
        RTCPeerConnection.generateCertificate = () => new Promise(() => {});
      },
    });
    expect(await later(10)).toEqual(ended('not_supported', /generateCertificate/));
  });

  it('for its browser to answer', async () => {
    await begin({
      prepare: () => {
        RTCPeerConnection.prototype.setRemoteDescription = () => new Promise(() => {});
      },
    });
    await expect.poll(() => page.evaluate(() => call.state), { timeout: 20_000 }).toBe('answering');
    expect(await later(12)).toEqual(ended('negotiation_failed', /answer the offer/));
  });

  it('to be live', async () => {
    relay.unheard.add('live');
    await begin();
    await reached('answered');
    expect(await later(30)).toEqual(ended('network_error', /live/));
  });

  it('for the server to say that it is over, by hang-up, by an error or by its time', async () => {
    relay.unheard.add('ended').add('close');
    await begin();
    await page.evaluate(() => call.live);
    await page.evaluate(() => void call.hangup());
    expect(await later(2)).toEqual(ended('network_error', /has ended/, { reason: 'completed', live: 'resolved' }));

    await begin();
    await page.evaluate(() => call.live);
    expect(await later(3605)).toEqual(ended('network_error', /expired/));

    await begin({ endpointId: 'ep_one' });
    await expect.poll(() => later(2)).toEqual(ended('endpoint_mismatch', /endpoint/));
  });
});

describe('a call that the server ends before it is live', { timeout: 60_000 }, () => {
  it('says the reason of the server', async () => {
    const impatient = await TestServer.start({ config: { session: { connect_timeout_ms: 1500 } } });
    const { ws_url, endpoint_id, token } = await impatient.mint('ep_echo');
    const code = await page.evaluate(
      async ([url, endpointId, token]) => {
        RTCPeerConnection.prototype.setLocalDescription = () => new Promise(() => {});
        globalThis.call = sdk.connect({ url, endpointId, token, media: {} });
        return call.live.catch(({ code, message }) => `${code}: ${message}`);
      },
      [ws_url, endpoint_id, token] as const,
    );
    expect(code).toMatch(/^connect_timeout: Media did not connect/);
    expect(await page.evaluate(async () => (await call.ended).reason)).toBe('connect_timeout');
    await impatient.stop();
  });
});

describe('an address that cannot be used', { timeout: 60_000 }, () => {
  /** What connect() makes of each: the state of a call, or the code that it throws. */
  const outcomes = (how: string, urls: string[]) =>
    page.evaluate(
      async ([how, urls]) => {
        let fetched = 0;
        const getToken = () => {
          fetched += 1;
          return 'x';
        };
        const given = how === 'token' ? { token: 'x' } : { getToken };
        const codes = urls.map((url) => {
          try {
            return sdk.connect({ url, endpointId: 'ep_echo', media: {}, ...given } as Sdk.ConnectOptions).state;
          } catch (error) {
            return (error as Sdk.CallError).code;
          }
        });
        await Promise.resolve().then(() => {});
        return [...codes, fetched];
      },
      [how, urls] as const,
    );

  it.each(['token', 'getToken'])('is thrown before anything is opened or fetched, with a %s', async (how) => {
    const malformed = ['ws://gate.example:99999/', 'ftp://gate.example/', ''];
    expect(await outcomes(how, malformed)).toEqual([...malformed.map(() => 'address_invalid'), 0]);

    // A page that came by https:, without the certificates of one.
    await page.route('https://app.example/**', async (route) => {
      const { pathname } = new URL(route.request().url());
      await route.fulfill({ response: await route.fetch({ url: `${site.url}${pathname}` }) });
    });
    await page.goto('https://app.example/');
    expect(await outcomes(how, ['ws://gate.example/', 'http://gate.example/'])).toEqual([
      'address_invalid',
      'address_invalid',
      0,
    ]);
    expect(await outcomes(how, [server.wsUrl])).toEqual(['connecting', how === 'getToken' ? 1 : 0]);
  });
});
