import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type CallerSite, launchBrowser, serveCallerSite } from '../support/browser.ts';
import { arrived, ending, expectPictures, expectSound, liveCall, SMALL, startCall } from '../support/caller.ts';
import { TestServer } from '../support/server.ts';

let server: TestServer;
let site: CallerSite;
let browser: Browser;
let page: Page;

beforeAll(async () => {
  [server, site, browser] = await Promise.all([TestServer.start(), serveCallerSite(), launchBrowser()]);
});
afterEach(() => page.close());
afterAll(async () => {
  await browser?.close();
  await site?.close();
  await server?.stop();
});

const openPage = async () => {
  page = await site.open(browser);
  return page;
};

describe('a call to an echo endpoint', { timeout: 90_000 }, () => {
  it('is heard and seen by its own caller, and tells how long each step took', async () => {
    await liveCall(await openPage(), server, 'ep_echo');
    await expectSound(page);
    await expectPictures(page);
    expect(await page.evaluate(() => [...call.participants.keys()])).toEqual(['remote']);
    expect(await page.evaluate(() => seen.states)).toEqual(['connecting', 'answering', 'live']);
    const { socket, offer, answered, connected, firstAudio, firstVideo } = await page.evaluate(() => call.timings);
    const order = [socket, offer, answered, connected, firstVideo];
    expect(order).toEqual([...order].sort((a, b) => a! - b!));
    expect(firstAudio).toBeGreaterThan(answered!);
  });

  it('ends on hang-up with nothing left on either side', async () => {
    const { id } = await liveCall(await openPage(), server, 'ep_echo');
    await expect.poll(() => page.evaluate(() => call.local.getTracks().length)).toBe(2);
    await page.evaluate(() => call.hangup());
    expect(await ending(page)).toEqual({ reason: 'completed' });
    expect(await page.evaluate(() => [call.state, call.participants.size])).toEqual(['ended', 0]);
    expect(await page.evaluate(() => call.local.getTracks().map(({ readyState }) => readyState))).toEqual([
      'ended',
      'ended',
    ]);
    expect(await server.read(id)).toMatchObject({ status: 'completed', session: { end_reason: 'completed' } });
    await expect.poll(() => server.running.held()).toEqual({ sessions: 0, sockets: 0, calls: 0 });
  });

  it.each(['setMedia', 'replaceTrack'] as const)('sends no camera that %s gave up during the prompt', async (how) => {
    const { ws_url, endpoint_id, token } = await server.mint('ep_echo');
    await openPage();
    const states = await page.evaluate(
      async ([url, endpointId, token, how]) => {
        const opened: MediaStreamTrack[] = [];
        const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
        navigator.mediaDevices.getUserMedia = async (wish) => {
          const stream = await open(wish);
          opened.push(...stream.getTracks());
          return stream;
        };
        globalThis.call = sdk.connect({ url, endpointId, token, media: { audio: true, video: true } });
        if (how === 'setMedia') call.setMedia({ video: 'recvonly' });
        else void call.replaceTrack('video', null);
        await call.live;
        while (call.local.getAudioTracks().length === 0) await new Promise((resolve) => setTimeout(resolve, 20));
        return opened.map(({ kind, readyState }) => `${kind} ${readyState}`).sort();
      },
      [ws_url, endpoint_id, token, how] as const,
    );
    expect(states).toEqual(['audio live', 'video ended']);
    expect(await page.evaluate(() => call.local.getTracks().map(({ kind }) => kind))).toEqual(['audio']);
  });

  it('buys nothing a second time with the same token, whether it still runs or is over', async () => {
    const minted = await liveCall(await openPage(), server, 'ep_echo');
    const second = await site.open(browser);
    await startCall(second, minted, { audio: true });
    expect(await ending(second)).toEqual({ code: 'token_used', closeCode: 4409 });
    expect(await page.evaluate(() => call.state)).toBe('live');

    await page.evaluate(() => call.hangup());
    await startCall(second, minted, { audio: true });
    expect(await ending(second)).toEqual({ code: 'token_used', closeCode: 4409 });
    await second.close();
  });

  it('ends when its session expires', async () => {
    const minted = await server.mint('ep_echo', { max_duration_seconds: 3 });
    await startCall(await openPage(), minted, { audio: true, video: SMALL });
    expect(await ending(page)).toEqual({ reason: 'expired' });
    expect(await server.read(minted.id)).toMatchObject({ status: 'completed', session: { end_reason: 'expired' } });
  });

  it('carries sound alone when the endpoint has no video', async () => {
    await liveCall(await openPage(), server, 'ep_audio');
    await expectSound(page);
    expect((await arrived(page)).frames).toEqual([]);
  });

  it('keeps a tone on the left there when the endpoint is stereo', async () => {
    const { ws_url, endpoint_id, token } = await server.mint('ep_stereo');
    await openPage();
    const [left, right] = await page.evaluate(
      async ([url, endpointId, token]) => {
        const context = new AudioContext();
        const tone = new OscillatorNode(context, { frequency: 440 });
        const sides = new ChannelMergerNode(context, { numberOfInputs: 2 });
        const sent = new MediaStreamAudioDestinationNode(context, { channelCount: 2 });
        tone.connect(sides, 0, 0).connect(sent);
        tone.start();
        globalThis.call = sdk.connect({ url, endpointId, token, media: { audio: sent.stream.getAudioTracks()[0]! } });
        await call.live;
        while (!call.participants.get('remote')) await new Promise((resolve) => setTimeout(resolve, 20));
        const srcObject = call.participants.get('remote')!;
        // Chromium gives Web Audio nothing of a remote stream that no element plays.
        await Object.assign(new Audio(), { srcObject }).play();
        const heard = new ChannelSplitterNode(context, { numberOfOutputs: 2 });
        new MediaStreamAudioSourceNode(context, { mediaStream: srcObject }).connect(heard);
        const meters = [0, 1].map((side) => {
          const meter = new AnalyserNode(context);
          heard.connect(meter, side);
          return meter;
        });
        const loudness = (meter: AnalyserNode) => {
          const samples = new Float32Array(meter.fftSize);
          meter.getFloatTimeDomainData(samples);
          return Math.hypot(...samples) / Math.sqrt(samples.length);
        };
        while (loudness(meters[0]!) < 0.1) await new Promise((resolve) => setTimeout(resolve, 50));
        await new Promise((resolve) => setTimeout(resolve, 500));
        return meters.map(loudness);
      },
      [ws_url, endpoint_id, token] as const,
    );
    expect(left).toBeGreaterThan(0.1);
    expect(right).toBeLessThan(left! / 20);
  });

  it('carries sound alone when the caller wants no video, and the camera stays closed', async () => {
    await liveCall(await openPage(), server, 'ep_echo', { audio: true });
    await expectSound(page);
    expect((await arrived(page)).frames).toEqual([]);
    expect(await page.evaluate(() => call.local.getTracks().map(({ kind }) => kind))).toEqual(['audio']);
  });

  it('takes a camera that is added later', async () => {
    await liveCall(await openPage(), server, 'ep_echo', { audio: true });
    await page.evaluate(async (video) => {
      const camera = await navigator.mediaDevices.getUserMedia({ video });
      await call.replaceTrack('video', camera.getVideoTracks()[0] ?? null);
    }, SMALL);
    await expectPictures(page);
    expect(await page.evaluate(() => call.participants.get('remote')?.getTracks().length)).toBe(2);
  });

  it('is live before the caller has answered the camera prompt', async () => {
    await openPage();
    await page.evaluate(() => {
      const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
      const answered = new Promise((resolve) => globalThis.addEventListener('answer-prompt', resolve));
      navigator.mediaDevices.getUserMedia = (constraints) => answered.then(() => open(constraints));
    });
    await liveCall(page, server, 'ep_echo');
    await page.evaluate(() => globalThis.dispatchEvent(new Event('answer-prompt')));
    await expectSound(page);
    await expectPictures(page);
  });

  // The server gives a socket 5 s for its start: a token that takes longer gets another socket.
  it.each([300, 6000])('starts with a token that is fetched meanwhile, in %d ms', async (delay) => {
    const { ws_url, endpoint_id, token } = await server.mint('ep_echo');
    await openPage();
    await page.evaluate(
      async ([url, endpointId, token, delay]) => {
        const getToken = () => new Promise<string>((resolve) => setTimeout(resolve, delay, token));
        globalThis.call = sdk.connect({ url, endpointId, getToken, media: { audio: true } });
        await call.live;
      },
      [ws_url, endpoint_id, token, delay] as const,
    );
    expect(await page.evaluate(() => call.session?.endpointId)).toBe('ep_echo');
  });

  it('takes a token that is bound to its certificate, which no other caller can use', async () => {
    const other = await site.open(browser);
    await openPage();
    const dtls_fingerprint = await page.evaluate(async () => {
      const ecdsa = { name: 'ECDSA', namedCurve: 'P-256' };
      globalThis.certificate = await RTCPeerConnection.generateCertificate(ecdsa);
      return `sha-256 ${certificate.getFingerprints()[0]?.value?.toUpperCase()}`;
    });
    const { ws_url, endpoint_id, token } = await server.mint('ep_echo', { dtls_fingerprint });
    const call = { url: ws_url, endpointId: endpoint_id, token, media: {} };
    const stolen = await other.evaluate(async (call) => (await sdk.connect(call).ended).error?.code, call);
    expect(stolen).toBe('fingerprint_mismatch');
    await page.evaluate((call) => sdk.connect({ ...call, certificate }).live, call);
    await other.close();
  });

  it('fails with a word of its own where no token can be had, or no server is', async () => {
    await openPage();
    const codes = await page.evaluate(async (url) => {
      const refusing = sdk.connect({
        url,
        endpointId: 'ep_echo',
        getToken: () => Promise.reject(new Error('no')),
        media: {},
      });
      const nobody = sdk.connect({ url: 'ws://nobody.invalid/', endpointId: 'ep_echo', token: 'x', media: {} });
      return [(await refusing.ended).error?.code, (await nobody.ended).error?.code];
    }, server.wsUrl);
    expect(codes).toEqual(['token_unavailable', 'network_error']);
  });

  it('is given up by its signal at any time', async () => {
    const { ws_url, endpoint_id, token } = await server.mint('ep_echo');
    await openPage();
    const end = await page.evaluate(
      async ([url, endpointId, token]) => {
        const giveUp = new AbortController();
        globalThis.call = sdk.connect({ url, endpointId, token, media: { audio: true }, signal: giveUp.signal });
        call.on('state', () => giveUp.abort());
        return [await call.live.catch(({ code }) => code), (await call.ended).reason];
      },
      [ws_url, endpoint_id, token] as const,
    );
    expect(end).toEqual(['aborted', 'completed']);
  });

  it('goes on with new ICE credentials when the network changes', async () => {
    await liveCall(await openPage(), server, 'ep_echo');
    await expectPictures(page);
    const ufrag = () =>
      page.evaluate(async () => {
        const reports = [...(await call.getStats()).values()];
        return reports.find(({ type }) => type === 'transport')?.iceLocalUsernameFragment as string;
      });
    const before = await ufrag();
    await page.evaluate(() => globalThis.dispatchEvent(new Event('online')));
    await expect.poll(ufrag, { timeout: 20_000 }).not.toBe(before);
    await expectPictures(page);
    await expectSound(page);
    expect(await page.evaluate(() => call.state)).toBe('live');
  });

  it('sends all three simulcast layers, and the server receives each', async () => {
    await liveCall(await openPage(), server, 'ep_simulcast', {
      audio: true,
      video: { width: 1280, height: 720, frameRate: 10 },
    });
    // Chromium reports on a layer that it sends only once the server has reported what it receives of it.
    const reported = () =>
      page.evaluate(async () => {
        const reports = [...(await call.getStats()).values()];
        const heard = reports.filter(({ type, kind }) => type === 'remote-inbound-rtp' && kind === 'video');
        const sent = reports.filter(({ type, framesSent }) => type === 'outbound-rtp' && framesSent > 0);
        return sent.filter(({ id }) => heard.some(({ localId }) => localId === id)).map(({ frameWidth }) => frameWidth);
      });
    await expect.poll(async () => (await reported()).length, { timeout: 25_000 }).toBe(3);
    expect((await reported()).sort((a, b) => a - b)).toEqual([320, 640, 1280]);
    await expectPictures(page);
  });
});
