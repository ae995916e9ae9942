import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { answerStereo, directionOf, offerActive, readSections } from '../../src/client/sdp.ts';

const OFFER = [
  'v=0',
  'a=setup:actpass',
  'm=audio 9 UDP/TLS/RTP/SAVPF 100',
  'a=setup:actpass',
  'a=mid:0',
  'a=sendrecv',
  'm=video 9 UDP/TLS/RTP/SAVPF 101',
  'a=setup:actpass',
  'a=mid:v1',
  'a=sendonly',
  'm=application 9 UDP/DTLS/SCTP webrtc-datachannel',
  'a=mid:d',
  'm=video 9 UDP/TLS/RTP/SAVPF 101',
  'a=mid:v2',
  'a=inactive',
  '',
].join('\r\n');

describe('an offer in the client’s view', () => {
  it('has an audio section to send and receive on, and a video section of someone else', () => {
    expect(readSections(OFFER)).toEqual([
      { mid: '0', kind: 'audio', canSend: true, canReceive: true },
      { mid: 'v1', kind: 'video', canSend: false, canReceive: true },
      { mid: 'v2', kind: 'video', canSend: false, canReceive: false },
    ]);
  });

  it('reads what a browser writes', () => {
    const offer = readFileSync(new URL('../fixtures/sdp/chromium-156-offer.sdp', import.meta.url), 'utf8');
    expect(readSections(offer).map(({ kind, canSend }) => [kind, canSend])).toEqual([
      ['audio', true],
      ['video', true],
    ]);
  });

  it('takes a section without a direction as sendrecv', () => {
    expect(readSections('v=0\nm=audio 9 X 1\na=mid:a\n')).toEqual([
      { mid: 'a', kind: 'audio', canSend: true, canReceive: true },
    ]);
  });
});

describe('an offer’s DTLS role', () => {
  it('is taken by the server in every section, and nothing else changes', () => {
    const active = offerActive(OFFER);
    expect(active.match(/^a=setup:active$/gm)).toHaveLength(3);
    expect(active.replaceAll('a=setup:active', 'a=setup:actpass')).toBe(OFFER);
  });
});

describe('the direction of a transceiver', () => {
  it('says what is sent and received', () => {
    expect([
      directionOf(true, true),
      directionOf(true, false),
      directionOf(false, true),
      directionOf(false, false),
    ]).toEqual(['sendrecv', 'sendonly', 'recvonly', 'inactive']);
  });
});

describe('stereo', () => {
  const offer = 'm=audio 9 x 100\r\na=fmtp:100 minptime=10;stereo=1;sprop-stereo=1\r\na=fmtp:101 stereo=1\r\n';
  const answer = 'm=audio 9 x 100\r\na=fmtp:100 minptime=10;useinbandfec=1\r\na=fmtp:101 minptime=10\r\n';

  it('is taken where the offer sends it, once', () => {
    const stereo = answerStereo(answer, offer);
    expect(stereo).toBe(answer.replace('a=fmtp:100 ', 'a=fmtp:100 stereo=1;'));
    expect(answerStereo(stereo, offer)).toBe(stereo);
  });

  it('is taken nowhere else, and not against what the browser has said', () => {
    expect(answerStereo(answer, offer.replace(';sprop-stereo=1', ''))).toBe(answer);
    const mono = answer.replace('useinbandfec=1', 'stereo=0');
    expect(answerStereo(mono, offer)).toBe(mono);
  });
});
