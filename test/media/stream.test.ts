import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { SoundPort, Speaker } from '../../src/media/media.ts';
import type { Source } from '../../src/peer/frames.ts';
import { RtcPeer } from '../../src/peer/rtc-peer.ts';
import { type MediaFixture, type SpecOptions, startMedia, type TestCall } from '../support/media.ts';

let media: MediaFixture;

beforeAll(async () => {
  media = await startMedia();
});
afterAll(() => media.close());

/** Both ends of the sound of a call, as an application sees it. */
class Sound implements SoundPort {
  readonly frames: Buffer[] = [];
  digits = '';
  #speaker: Speaker | undefined;

  heard(frame: Buffer): void {
    this.frames.push(frame);
  }

  pressed(digit: string): void {
    this.digits += digit;
  }

  speakTo(speaker: Speaker | undefined): void {
    this.#speaker = speaker;
  }

  get speaker(): Promise<Speaker> {
    return expect
      .poll(() => this.#speaker, { timeout: 10_000 })
      .toBeDefined()
      .then(() => this.#speaker!);
  }

  get isHeard(): boolean {
    return this.#speaker !== undefined;
  }
}

/** Counts from 1 to 100, one number for each frame; every tenth is not sent. */
const counting: Source = {
  frames: Array.from({ length: 100 }, (_, i) => ({
    payloads: (i + 1) % 10 === 0 ? [] : [Buffer.alloc(160, i + 1)],
    key: true,
  })),
  ticks: 1,
  timestampStep: 160,
  marked: false,
};

let sound: Sound;
let peer: RtcPeer;
let test: TestCall;
let came: { payload: Buffer; packet: Buffer }[];

beforeEach(() => {
  sound = new Sound();
  came = [];
});
afterEach(async () => {
  test.call.close();
  await peer.close();
  await expect.poll(() => media.held()).toEqual({ transports: 0, producers: 0, consumers: 0 });
  expect(media.logged).toEqual([]);
});

const answerWith = async (change: (sdp: string) => string = (sdp) => sdp, spec: SpecOptions = {}) => {
  test = await media.open({ target: 'stream', allowed: { video: false }, sound, ...spec });
  const { id, sdp } = test.call.firstOffer;
  peer = await RtcPeer.create({ kinds: ['audio'], sources: { PCMU: counting, PCMA: counting } });
  peer.onPacket = (_, packet, payload) => came.push({ packet, payload });
  await test.call.accept(id, change(await peer.answer(change(sdp))));
  await peer.connected;
};

const only = (payloadType: number) => (sdp: string) =>
  sdp.replace(/^(m=audio \d+ \S+).*$/m, `$1 ${payloadType}`).replace(/^a=(rtpmap|rtcp-fb):(?!8 ).*\r\n/gm, '');

describe('a call to an application', () => {
  it('is offered the sound of telephones, PCMU first, and keys', async () => {
    await answerWith();
    expect(test.call.firstOffer.sdp).toMatch(/^m=audio 9 UDP\/TLS\/RTP\/SAVPF 0 8 (\d+)\r\n/m);
    expect(test.call.firstOffer.sdp).toMatch(/^a=rtpmap:\d+ telephone-event\/8000\r$/m);
  });

  it('is heard as it was sent, with silence where nothing was', async () => {
    await answerWith();
    peer.startSending();
    await expect.poll(() => sound.frames.length, { timeout: 10_000 }).toBeGreaterThan(25);
    const values = sound.frames.map((frame) => new Set(frame));
    const first = [...values[0]!][0]!;
    values.slice(0, 25).forEach((value, i) => {
      const number = first + i;
      expect([...value]).toEqual([number % 10 === 0 ? 0xff : number]);
    });
  });

  it('hears what the application says, on the clock of the application', async () => {
    await answerWith();
    const speak = await sound.speaker;
    for (let i = 0; i < 5; i++) speak(Buffer.alloc(160, i), i < 3 ? i * 20 : i * 20 + 1000, i === 0 || i === 3);
    await expect.poll(() => came.length, { timeout: 5000 }).toBe(5);
    expect(came.map(({ payload }) => [payload.length, payload[0]])).toEqual([0, 1, 2, 3, 4].map((i) => [160, i]));
    const [first] = came;
    expect(came.map(({ packet }) => packet.readUInt32BE(4) - first!.packet.readUInt32BE(4))).toEqual([
      0,
      160,
      320,
      480 + 8000,
      640 + 8000,
    ]);
    expect(came.map(({ packet }) => packet.readUInt16BE(2) - first!.packet.readUInt16BE(2))).toEqual([0, 1, 2, 3, 4]);
    expect(came.map(({ packet }) => packet[1]! >> 7)).toEqual([1, 0, 0, 1, 0]);
  });

  it('hears one stream, however early the application speaks', async () => {
    const speakers = new Set<Speaker | undefined>();
    sound.speakTo = (speaker) => void speakers.add(speaker);
    await answerWith();
    await expect.poll(() => speakers.size, { timeout: 5000 }).toBeGreaterThan(0);
    test.call.restart();
    await test.events.has('offer 2');
    await test.call.accept('2', await peer.answer(test.events.offers[0]!.sdp));
    expect([...speakers].filter((speaker) => speaker !== undefined)).toHaveLength(1);
  });

  it('is turned from and into A-law for a client that took that alone', async () => {
    await answerWith(only(8));
    peer.startSending();
    (await sound.speaker)(Buffer.alloc(160, 0xff), 0, true);
    await expect.poll(() => came.length, { timeout: 5000 }).toBe(1);
    expect([came[0]!.payload[0], came[0]!.packet[1]! & 0x7f]).toEqual([0xd5, 8]);
    await expect.poll(() => sound.frames.length, { timeout: 10_000 }).toBeGreaterThan(3);
  });

  it('is heard by nobody once it is over', async () => {
    await answerWith();
    await sound.speaker;
    test.call.close();
    expect(sound.isHeard).toBe(false);
  });

  it('goes on through an ICE restart', async () => {
    await answerWith();
    peer.startSending();
    await expect.poll(() => sound.frames.length, { timeout: 10_000 }).toBeGreaterThan(3);
    test.call.restart();
    await test.events.has('offer 2');
    await test.call.accept('2', await peer.answer(test.events.offers[0]!.sdp));
    const before = sound.frames.length;
    await expect.poll(() => sound.frames.length, { timeout: 10_000 }).toBeGreaterThan(before + 5);
    (await sound.speaker)(Buffer.alloc(160), 0, true);
    await expect.poll(() => came.length, { timeout: 5000 }).toBe(1);
  });
});
