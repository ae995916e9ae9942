import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type MediaFixture, type SpecOptions, startMedia } from '../support/media.ts';
import { RtcClient, type RtcClientOptions } from '../support/rtc-client.ts';

let media: MediaFixture;

beforeAll(async () => {
  media = await startMedia();
});
afterAll(() => media.close());

const MID = /^a=extmap:\d+ urn:ietf:params:rtp-hdrext:sdes:mid\r\n/gm;
const RID = /^a=extmap:\d+ urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id\r\n/gm;
const declared = (sdp: string) => sdp.match(/^a=ssrc:\d+ cname:/gm) ?? [];

/** A client that answers and sends, without these extensions. */
const join = async (without: RegExp, spec?: SpecOptions, options?: RtcClientOptions) => {
  const { call, events } = await media.open(spec);
  const client = await RtcClient.answer(call.firstOffer.sdp, options);
  const accept = (id: string, answer: string) => call.accept(id, answer.replace(without, ''));
  expect(declared(call.firstOffer.sdp)).toEqual([]);
  await accept(call.firstOffer.id, client.answerSdp);
  await client.connected;
  client.startSending();
  const answerNext = async () => {
    await events.until(() => events.offers.length > 0);
    const { id, sdp } = events.offers.shift()!;
    return { sdp, accept: async () => accept(id, await client.answer(sdp)) };
  };
  const close = async () => {
    call.close();
    await client.close();
  };
  return { call, client, events, answerNext, close };
};

const expectMedia = (client: RtcClient) => {
  const before = { ...client.received };
  return expect
    .poll(() => client.received.audio > before.audio + 5 && client.received.video > before.video + 5, {
      timeout: 10_000,
    })
    .toBe(true);
};

describe('an echo to a client that finds the section of a packet by its SSRC alone', () => {
  it.each([
    ['without the MID extension', MID],
    ['without the RID extension', RID],
  ])('%s is declared in a second offer, and comes when that is answered', async (_, without) => {
    const { client, answerNext, close } = await join(without);
    const second = await answerNext();
    expect(declared(second.sdp)).toHaveLength(2);
    expect(client.received).toEqual({ audio: 0, video: 0 });
    await second.accept();
    await expectMedia(client);
    await close();
  });

  it('is declared anew when what comes in is another stream', async () => {
    const { call, client, answerNext, close } = await join(MID);
    const second = await answerNext();
    await second.accept();
    call.change({ video: 'none' });
    await (await answerNext()).accept();
    call.change({ video: 'sendrecv' });
    await (await answerNext()).accept();
    const last = await answerNext();
    expect(declared(last.sdp)).toHaveLength(2);
    expect(declared(last.sdp)[1]).not.toBe(declared(second.sdp)[1]);
    await last.accept();
    await expectMedia(client);
    await close();
  });

  it.each([
    ['was asked for', { media: { video: 'none' } }, { kinds: ['audio', 'video'] }],
    ['was accepted', {}, { kinds: ['audio'] }],
  ] as const)('needs no second offer where one section %s', async (_, spec, { kinds }) => {
    const { client, events, close } = await join(MID, spec, { kinds });
    await expect.poll(() => client.received.audio, { timeout: 10_000 }).toBeGreaterThan(5);
    expect(events.offers).toEqual([]);
    await close();
  });
});
