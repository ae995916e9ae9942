import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Page } from 'playwright-core';
import type { Offer } from '../../src/media/media.ts';
import { launchBrowser } from './browser.ts';
import type { TestCall } from './media.ts';

interface PeerState {
  connection: RTCPeerConnection;
  local: MediaStream;
  /** Id of the remote stream on each section. */
  streams: Map<string, string>;
}

declare global {
  var peers: Map<string, PeerState>;
}

export interface Chromium {
  page: Page;
  close(): Promise<void>;
}

/** One page of a real Chromium in a secure context, for any number of peers. */
export const startChromium = async (): Promise<Chromium> => {
  const server = createServer((_request, response) => {
    response.setHeader('content-type', 'text/html').end('<!doctype html><title>peers</title>');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const browser = await launchBrowser();
  const page = await browser.newPage();
  await page.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
  await page.evaluate(() => {
    globalThis.peers = new Map();
  });
  return {
    page,
    close: async () => {
      await browser.close();
      server.closeAllConnections();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
};

export interface PeerOptions {
  /** The devices that the peer has. */
  audio?: boolean;
  video?: boolean;
  /** Picture size of the camera: below 960×540 Chromium sends two simulcast layers at most. */
  width?: number;
  height?: number;
}

/** A plain RTCPeerConnection in the page, used as the SDK uses it. */
export class Peer {
  readonly name: string;
  readonly #page: Page;
  readonly #options: PeerOptions;
  #closed = false;

  constructor({ page }: Chromium, name: string, options: PeerOptions = {}) {
    this.#page = page;
    this.name = name;
    this.#options = options;
  }

  async answer({ sdp }: Pick<Offer, 'sdp'>): Promise<string> {
    // The SDK's own copy of an offer says active, so that the server sends its ClientHello at once.
    const applied = sdp.replaceAll('a=setup:actpass', 'a=setup:active');
    const { audio = true, video = true, width = 320, height = 240 } = this.#options;
    const devices = { audio, video: video && { width, height } };
    return this.#page.evaluate(answerOffer, { name: this.name, sdp: applied, devices });
  }

  /** Answers the first offer and from then on every other one, as they come. */
  async join({ call, events }: TestCall): Promise<void> {
    await call.accept(call.firstOffer.id, await this.answer(call.firstOffer));
    void this.#follow({ call, events });
  }

  /** Waits until each of these sections has decoded so many more video frames, or heard more sound. */
  async hears(mids: readonly string[], frames = 10): Promise<void> {
    await this.#page.evaluate(waitForMedia, { name: this.name, mids: [...mids], frames });
  }

  /** Width of the pictures that arrive on a section. */
  async frameWidth(mid: string): Promise<number> {
    return this.#page.evaluate(readFrameWidth, { name: this.name, mid });
  }

  /** Id of the remote stream on each section. */
  async streams(): Promise<Record<string, string>> {
    return this.#page.evaluate((name) => Object.fromEntries(globalThis.peers.get(name)!.streams), this.name);
  }

  async localSdp(): Promise<string> {
    return this.#page.evaluate((name) => globalThis.peers.get(name)!.connection.localDescription!.sdp, this.name);
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#page.evaluate(closePeer, this.name);
  }

  async #follow({ call, events }: TestCall): Promise<void> {
    for (let next = 0; ; next++) {
      await events.until(() => events.offers.length > next || events.over);
      const offer = events.offers[next];
      if (offer === undefined || events.over || this.#closed) return;
      const sdp = await this.answer(offer).catch((error: Error) => {
        if (!this.#closed) throw error;
      });
      if (sdp !== undefined) await call.accept(offer.id, sdp);
    }
  }
}

interface AnswerRequest {
  name: string;
  sdp: string;
  devices: { audio: boolean; video: MediaTrackConstraints | false };
}

/** Runs in the page, as everything below. */
const answerOffer = async ({ name, sdp, devices }: AnswerRequest): Promise<string> => {
  const open = async (): Promise<PeerState> => {
    const connection = new RTCPeerConnection({ bundlePolicy: 'max-bundle' });
    // The usual processing takes the beeps of the fake microphone for noise.
    const audio = devices.audio && { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
    const wanted = { audio, video: devices.video };
    const local = audio || wanted.video ? await navigator.mediaDevices.getUserMedia(wanted) : new MediaStream();
    const streams = new Map<string, string>();
    connection.ontrack = ({ track, transceiver, streams: [remote] }) => {
      streams.set(transceiver.mid!, remote?.id ?? '');
      const element = document.createElement(track.kind) as HTMLMediaElement;
      element.srcObject = new MediaStream([track]);
      element.autoplay = true;
      document.body.append(element);
    };
    const peer = { connection, local, streams };
    globalThis.peers.set(name, peer);
    return peer;
  };
  const { connection, local } = globalThis.peers.get(name) ?? (await open());
  await connection.setRemoteDescription({ type: 'offer', sdp });
  for (const section of sdp.split('\r\nm=').slice(1)) {
    const mid = /\r\na=mid:(\S+)/.exec(section)![1];
    const offered = /\r\na=(sendrecv|recvonly|sendonly|inactive)/.exec(section)![1];
    const track = local.getTracks().find(({ kind }) => section.startsWith(kind));
    if (!track || (offered !== 'sendrecv' && offered !== 'recvonly')) continue;
    const transceiver = connection.getTransceivers().find((candidate) => candidate.mid === mid)!;
    if (!transceiver.sender.track) await transceiver.sender.replaceTrack(track);
    transceiver.direction = offered === 'sendrecv' ? 'sendrecv' : 'sendonly';
  }
  await connection.setLocalDescription(await connection.createAnswer());
  return connection.localDescription!.sdp;
};

const waitForMedia = async ({ name, mids, frames }: { name: string; mids: string[]; frames: number }) => {
  const { connection } = globalThis.peers.get(name)!;
  const read = async (mid: string) => {
    const reports = [...(await connection.getStats()).values()];
    const inbound = reports.find((report) => report.type === 'inbound-rtp' && report.mid === mid);
    return { frames: inbound?.framesDecoded ?? 0, energy: inbound?.totalAudioEnergy ?? 0 };
  };
  const wait = async (mid: string): Promise<void> => {
    const before = await read(mid);
    for (;;) {
      const now = await read(mid);
      if (now.frames - before.frames >= frames || now.energy > before.energy) return;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  };
  await Promise.all(mids.map(wait));
};

const readFrameWidth = async ({ name, mid }: { name: string; mid: string }): Promise<number> => {
  const reports = [...(await globalThis.peers.get(name)!.connection.getStats()).values()];
  return reports.find((report) => report.type === 'inbound-rtp' && report.mid === mid)?.frameWidth ?? 0;
};

const closePeer = (name: string): void => {
  const peer = globalThis.peers.get(name);
  globalThis.peers.delete(name);
  for (const track of peer?.local.getTracks() ?? []) track.stop();
  peer?.connection.close();
};
