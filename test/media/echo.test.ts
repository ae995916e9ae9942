import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type MediaFixture, startMedia } from '../support/media.ts';
import { type Chromium, Peer, startChromium } from '../support/media-chromium.ts';

let media: MediaFixture;
let chromium: Chromium;

beforeAll(async () => {
  [media, chromium] = await Promise.all([startMedia(), startChromium()]);
});

afterAll(async () => {
  await chromium.close();
  await media.close();
});

const NOTHING = { transports: 0, producers: 0, consumers: 0 };

describe('an echo call with Chromium', () => {
  it('brings audio and video back, and completes when the client closes its connection', async () => {
    const { call, events } = await media.open();
    const peer = new Peer(chromium, 'echo');
    await peer.join({ call, events });
    await events.has('connected');
    await peer.hears(['0', '1']);
    expect(await media.held()).toEqual({ transports: 1, producers: 2, consumers: 2 });
    await peer.close();
    await events.has('ended completed');
    expect(events.told).toEqual(['connected', 'ended completed']);
    expect(await media.held()).toEqual(NOTHING);
  });

  it('is the DTLS client of a client that answers passive', async () => {
    const { call } = await media.open();
    const peer = new Peer(chromium, 'passive');
    expect(await peer.answer(call.firstOffer)).toContain('a=setup:passive');
    await peer.close();
    call.close();
  });

  it('brings audio alone back where the client has no camera and wants no video', async () => {
    const { call, events } = await media.open({ media: { video: 'none' } });
    const peer = new Peer(chromium, 'audio only', { video: false });
    expect(call.firstOffer.sections).toBe(1);
    await peer.join({ call, events });
    await peer.hears(['0']);
    await peer.close();
    call.close();
  });

  it('adds video to a call that began without', async () => {
    const { call, events } = await media.open({ media: { video: 'none' } });
    const peer = new Peer(chromium, 'video later');
    await peer.join({ call, events });
    call.change({ video: 'sendrecv' });
    await events.has('offer 2');
    await peer.hears(['0', '1']);
    await peer.close();
    call.close();
  });

  it('stops and resumes a direction that the client changes', async () => {
    const { call, events } = await media.open();
    const peer = new Peer(chromium, 'changing');
    await peer.join({ call, events });
    await peer.hears(['0', '1']);
    call.change({ video: 'none' });
    await events.has('offer 2');
    await expect.poll(() => media.held()).toEqual({ transports: 1, producers: 1, consumers: 1 });
    call.change({ video: 'sendrecv' });
    await events.has('offer 3');
    await peer.hears(['0', '1']);
    await peer.close();
    call.close();
  });

  it('takes three simulcast layers and gives the upper one back', async () => {
    const { call, events } = await media.open({ allowed: { simulcast: true } });
    const peer = new Peer(chromium, 'simulcast', { width: 1280, height: 720 });
    await peer.join({ call, events });
    await expect.poll(() => media.layers(), { timeout: 20_000 }).toEqual(['h', 'l', 'm']);
    await expect.poll(() => peer.frameWidth('1'), { timeout: 20_000 }).toBe(1280);
    await peer.close();
    call.close();
  });

  it('keeps the media flowing over an ICE restart', async () => {
    const { call, events } = await media.open();
    const peer = new Peer(chromium, 'restart');
    await peer.join({ call, events });
    await peer.hears(['0', '1']);
    const ufrag = (sdp: string) => /a=ice-ufrag:(\S+)/.exec(sdp)?.[1];
    const before = await peer.localSdp();
    call.restart();
    call.restart();
    await events.has('offer 2');
    expect(ufrag(events.offers[0]!.sdp)).not.toBe(ufrag(call.firstOffer.sdp));
    await expect.poll(async () => ufrag(await peer.localSdp())).not.toBe(ufrag(before));
    await peer.hears(['0', '1']);
    expect(events.told).toEqual(['connected', 'offer 2']);
    await peer.close();
    call.close();
  });
});
