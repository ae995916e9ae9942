import { parse } from 'sdp-transform';
import { describe, expect, it } from 'vitest';
import type { ProfileOptions } from '../../src/sdp/codecs.ts';
import { writeOffer } from '../../src/sdp/offer.ts';
import { DECLARATION, ownSections, profileOf, TRANSPORT } from '../support/sdp.ts';

const names = (sdp: string, index: number) => parse(sdp).media[index]!.rtp.map(({ codec }) => codec);
const uris = (sdp: string, index: number) => (parse(sdp).media[index]!.ext ?? []).map(({ uri }) => uri);

describe('an offer', () => {
  const sdp = writeOffer(7, TRANSPORT, ownSections());

  it('is ice-lite, bundles all sections and leaves the DTLS role to the client', () => {
    const { icelite, groups, media, origin } = parse(sdp);
    expect(icelite).toBe('ice-lite');
    expect(groups).toEqual([{ type: 'BUNDLE', mids: '0 1' }]);
    expect(origin.sessionVersion).toBe(7);
    for (const section of media) {
      expect(section).toMatchObject({ port: 9, protocol: 'UDP/TLS/RTP/SAVPF', setup: 'actpass' });
      expect(section).toMatchObject({ rtcpMux: 'rtcp-mux', rtcpRsize: 'rtcp-rsize', direction: 'sendrecv' });
      expect(section.fingerprint?.type).toBe('sha-256');
    }
  });

  it('has every candidate in every section, TCP ones passive, and says that there are no more', () => {
    for (const { candidates, endOfCandidates } of parse(sdp).media) {
      expect(candidates?.map(({ transport, port, tcptype }) => [transport, port, tcptype])).toEqual([
        ['udp', 40_000, undefined],
        ['tcp', 40_001, 'passive'],
      ]);
      expect(endOfCandidates).toBe('end-of-candidates');
    }
  });

  it('offers Opus with in-band FEC and DTX', () => {
    expect(names(sdp, 0)).toEqual(['opus']);
    expect(parse(sdp).media[0]!.fmtp).toEqual([{ payload: 100, config: 'minptime=10;useinbandfec=1;usedtx=1' }]);
  });

  it('asks for stereo and announces it where the endpoint says so, on every section of sound', () => {
    const stereo = { payload: 100, config: 'minptime=10;useinbandfec=1;usedtx=1;stereo=1;sprop-stereo=1' };
    const { own, remote } = profileOf({ stereo: true });
    for (const { audio: format } of [own, remote]) {
      const sdp = writeOffer(1, TRANSPORT, [{ mid: '0', direction: 'sendrecv', format }]);
      expect(parse(sdp).media[0]!.fmtp).toEqual([stereo]);
    }
  });

  it('offers every video codec with RTX and the start bitrate', () => {
    expect(names(sdp, 1)).toEqual(['VP8', 'VP9', 'H264', 'H264', 'AV1'].flatMap((codec) => [codec, 'rtx']));
    const fmtp = parse(sdp).media[1]!.fmtp.map(({ config }) => config);
    expect(fmtp).toContain('x-google-start-bitrate=1000');
    expect(fmtp).toContain('profile-id=0;x-google-start-bitrate=1000');
    expect(fmtp).toContain('apt=101');
    for (const profile of ['42e01f', '640c1f']) {
      const h264 = `level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=${profile};x-google-start-bitrate=1000`;
      expect(fmtp).toContain(h264);
    }
  });

  it("offers mediasoup's receive-only extensions where the server receives, and its packet id nowhere", () => {
    const { remote } = profileOf();
    const sent = writeOffer(1, TRANSPORT, [{ mid: '0', direction: 'sendonly', format: remote.audio }]);
    const transportCc = 'http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01';
    expect(uris(sdp, 0)).toContain(transportCc);
    expect(uris(sent, 0)).not.toContain(transportCc);
    for (const uri of ['urn:ietf:params:rtp-hdrext:sdes:mid', 'urn:ietf:params:rtp-hdrext:ssrc-audio-level']) {
      expect(uris(sent, 0)).toContain(uri);
    }
    expect(uris(sdp, 1)).toContain('urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id');
    expect(sdp).not.toContain('packet-id');
  });

  it('offers the only codec of a room, and asks nothing of it where the server only sends', () => {
    const { own, remote } = profileOf({ videoCodec: 'VP9' });
    const text = writeOffer(1, TRANSPORT, [
      { mid: '0', direction: 'recvonly', format: own.video },
      { mid: '1', direction: 'sendonly', format: remote.video },
    ]);
    expect(names(text, 0)).toEqual(['VP9', 'rtx']);
    expect(names(text, 1)).toEqual(['VP9', 'rtx']);
    expect(
      parse(text)
        .media[1]!.fmtp.map(({ config }) => config)
        .join(),
    ).not.toContain('x-google');
  });

  it('offers nothing whose effect not every receiver has, where others get what the caller sends', () => {
    const offers = (options: Partial<ProfileOptions>) => {
      const { own, remote } = profileOf(options);
      return writeOffer(1, TRANSPORT, [
        { mid: '0', direction: 'recvonly', format: own.video },
        { mid: '1', direction: 'sendonly', format: remote.video },
      ]);
    };
    const toSelf = offers({ toOthers: false, videoCodec: 'H264' });
    expect(toSelf.match(/urn:3gpp:video-orientation/g)).toHaveLength(2);
    expect(toSelf).toContain('profile-level-id=640c1f');
    for (const simulcast of [true, false]) {
      const toOthers = offers({ toOthers: true, videoCodec: 'H264', simulcast });
      expect(toOthers).not.toContain('video-orientation');
      expect(toOthers.match(/profile-level-id=\w+/g)).toEqual(Array(2).fill('profile-level-id=42e01f'));
      expect([names(toOthers, 0), names(toOthers, 1)]).toEqual(Array(2).fill(['H264', 'rtx']));
    }
  });

  it.each([
    [undefined, ['VP8', 'rtx', 'H264', 'rtx', 'H264', 'rtx'], 'l;m;h'],
    ['H264', ['H264', 'rtx', 'H264', 'rtx'], 'l;m;h'],
    ['AV1', ['AV1', 'rtx'], undefined],
  ] as const)('with simulcast and video codec %s offers %j and layers %s', (videoCodec, codecs, layers) => {
    const text = writeOffer(1, TRANSPORT, ownSections({ simulcast: true, videoCodec }));
    const [, section] = parse(text).media;
    expect(names(text, 1)).toEqual(codecs);
    expect(section?.simulcast?.list1).toBe(layers);
    expect((section?.rids ?? []).map(({ id, direction }) => [id, direction])).toEqual(
      layers === undefined ? [] : layers.split(';').map((rid) => [rid, 'recv']),
    );
  });

  it('declares the stream, SSRCs and CNAME of a track', () => {
    const { remote } = profileOf();
    const text = writeOffer(1, TRANSPORT, [
      { mid: '0', direction: 'sendonly', format: remote.video, declaration: DECLARATION },
    ]);
    const [section] = parse(text).media;
    expect(section?.msid).toEqual([{ id: 'p_1', appdata: 'track-1' }]);
    expect(section?.ssrcGroups).toEqual([{ semantics: 'FID', ssrcs: '1111 2222' }]);
    expect(section?.ssrcs?.map(({ id, attribute, value }) => [id, attribute, value])).toEqual([
      [1111, 'cname', 'p_1'],
      [2222, 'cname', 'p_1'],
    ]);
  });
});
