import sdpTransform from 'sdp-transform';
import { describe, expect, it } from 'vitest';
import { newIdentity, writeAnswer } from '../../../src/peer/sdp/answer.ts';

const offer = [
  'v=0',
  'o=- 1 1 IN IP4 127.0.0.1',
  's=-',
  't=0 0',
  'a=ice-lite',
  'a=extmap-allow-mixed',
  'a=group:BUNDLE a v d',
  'm=audio 7 UDP/TLS/RTP/SAVPF 100',
  'c=IN IP4 127.0.0.1',
  'a=ice-ufrag:server',
  'a=ice-pwd:serverserverserverserver',
  'a=fingerprint:sha-256 AA',
  'a=setup:actpass',
  'a=mid:a',
  'a=sendrecv',
  'a=rtcp-mux',
  'a=extmap:1 urn:ietf:params:rtp-hdrext:sdes:mid',
  'a=rtpmap:100 opus/48000/2',
  'a=fmtp:100 useinbandfec=1',
  'm=video 7 UDP/TLS/RTP/SAVPF 101 102',
  'c=IN IP4 127.0.0.1',
  'a=mid:v',
  'a=recvonly',
  'a=rtcp-mux',
  'a=rtcp-rsize',
  'a=extmap:2/recvonly urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id',
  'a=rtpmap:101 VP8/90000',
  'a=rtcp-fb:101 nack pli',
  'a=rtpmap:102 rtx/90000',
  'a=fmtp:102 apt=101',
  'a=rid:l recv',
  'a=rid:m recv',
  'a=rid:h recv',
  'a=simulcast:recv l;m;h',
  'm=application 7 UDP/DTLS/SCTP webrtc-datachannel',
  'c=IN IP4 127.0.0.1',
  'a=mid:d',
  'a=sctp-port:5000',
  '',
].join('\r\n');

const answer = (options?: Parameters<typeof writeAnswer>[1]) => sdpTransform.parse(writeAnswer(offer, options));

describe('a written answer', () => {
  it('mirrors MIDs, payload types, extensions and codecs', () => {
    const { media, groups } = answer();
    expect(groups).toEqual([{ type: 'BUNDLE', mids: 'a v d' }]);
    expect(media.map(({ mid, payloads, direction, port }) => ({ mid, payloads, direction, port }))).toEqual([
      { mid: 'a', payloads: 100, direction: 'sendrecv', port: 9 },
      { mid: 'v', payloads: '101 102', direction: 'sendonly', port: 9 },
      { mid: 'd', payloads: 'webrtc-datachannel', direction: undefined, port: 9 },
    ]);
    expect(media[1]).toMatchObject({
      rtp: [
        { payload: 101, codec: 'VP8' },
        { payload: 102, codec: 'rtx' },
      ],
      ext: [{ value: 2, direction: 'sendonly' }],
      rtcpFb: [{ payload: 101, type: 'nack', subtype: 'pli' }],
      rtcpMux: 'rtcp-mux',
      ssrcGroups: [{ semantics: 'FID' }],
    });
    expect(media[2]).toMatchObject({ sctpPort: 5000, setup: 'active' });
    expect(media[0]!.ssrcs).toHaveLength(1);
    expect(media[0]!.icePwd!.length).toBeGreaterThanOrEqual(22);
    expect(media[0]!.fingerprint!.hash).toMatch(/^[0-9A-F]{2}(:[0-9A-F]{2}){31}$/);
  });

  it('rejects the kinds that are not taken', () => {
    const { media, groups } = answer({ kinds: ['audio'] });
    expect(media.map(({ port }) => port)).toEqual([9, 0, 0]);
    expect(groups).toEqual([{ type: 'BUNDLE', mids: 'a' }]);
  });

  it.each([
    ['sendonly', ['sendonly', 'sendonly']],
    ['recvonly', ['recvonly', 'inactive']],
    ['inactive', ['inactive', 'inactive']],
  ] as const)('does no more than offered and wanted: %s', (direction, expected) => {
    const { media } = answer({ direction });
    expect(media.slice(0, 2).map((section) => section.direction)).toEqual(expected);
    expect(media.slice(0, 2).map(({ ssrcs }) => ssrcs !== undefined)).toEqual(
      expected.map((each) => each === 'sendonly'),
    );
  });

  it('names the layers that are offered, and then no SSRC', () => {
    const [audio, video] = answer({ rids: ['l', 'h', 'x'] }).media;
    expect(video).toMatchObject({ simulcast: { dir1: 'send', list1: 'l;h' } });
    expect(video!.rids!.map(({ id, direction }) => `${id} ${direction}`)).toEqual(['l send', 'h send']);
    expect(video!.ssrcs).toBeUndefined();
    expect(audio!.rids).toBeUndefined();
    expect(audio!.ssrcs).toHaveLength(1);
  });

  it('can leave the SSRCs out', () => {
    expect(answer({ ssrc: false }).media.map(({ ssrcs }) => ssrcs)).toEqual([undefined, undefined, undefined]);
  });

  it('is the same client for one identity, and another for each without', () => {
    const identity = newIdentity({ setup: 'passive' });
    expect(writeAnswer(offer, { identity })).toBe(writeAnswer(offer, { identity }));
    expect(writeAnswer(offer, { identity })).toContain('a=setup:passive');
    expect(writeAnswer(offer)).not.toBe(writeAnswer(offer));
  });
});
