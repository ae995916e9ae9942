import { parse } from 'sdp-transform';
import { describe, expect, it } from 'vitest';
import { type AnswerOptions, newIdentity, writeAnswer } from '../../src/peer/sdp/answer.ts';
import { makeFormat } from '../../src/sdp/format.ts';
import { Negotiation, type Section } from '../../src/sdp/negotiation.ts';
import { DECLARATION, profileOf, TRANSPORT } from '../support/sdp.ts';

const PROFILE = profileOf({ videoCodec: 'VP8' });
const { codecs, headerExtensions } = PROFILE.remote.video;
const VIDEO = makeFormat('video', codecs, headerExtensions);

/** A room's participant, and the client that answers it. */
const participant = (fingerprint?: string) => {
  let offers = 0;
  const negotiation = new Negotiation(PROFILE, () => String(++offers), fingerprint);
  const identity = newIdentity();
  negotiation.own('audio', 'recvonly');
  negotiation.own('video', 'recvonly');
  const offer = (restart = false) => negotiation.offer(TRANSPORT, restart);
  const answer = ({ id, sdp }: { id: string; sdp: string }, options: AnswerOptions = {}) =>
    negotiation.answer(id, writeAnswer(sdp, { identity, ...options }));
  const show = (ssrc: number): Section => {
    const section = negotiation.take('video');
    negotiation.declare(section, VIDEO, { ...DECLARATION, ssrc, rtxSsrc: ssrc + 1 });
    return section;
  };
  return { negotiation, identity, offer, answer, show };
};

const directions = (sdp: string) => parse(sdp).media.map(({ direction }) => direction);
const ssrcs = (sdp: string) => parse(sdp).media.map(({ ssrcs: [first] = [] }) => first?.id);

describe('a negotiation', () => {
  it('connects with the certificate and role of the first answer, and only once', () => {
    const { offer, answer, identity } = participant();
    expect(answer(offer())?.dtls).toEqual({
      role: 'client',
      fingerprints: [{ algorithm: 'sha-256', value: identity.fingerprint }],
    });
    expect(answer(offer())?.dtls).toBeUndefined();
  });

  it('puts all that changed while an offer was outstanding into the next one', () => {
    const { negotiation, offer, answer, show } = participant();
    const first = offer();
    for (let ssrc = 10; ssrc < 50; ssrc += 2) show(ssrc);
    expect(() => offer()).toThrow('outstanding');
    expect(negotiation.outstanding).toBe(true);
    answer(first);
    const second = offer();
    expect(second.sections).toBe(22);
    expect(directions(second.sdp).slice(2)).toEqual(Array(20).fill('sendonly'));
    expect(new Set(ssrcs(second.sdp).slice(2)).size).toBe(20);
    expect(answer(second)?.sections).toHaveLength(22);
  });

  it('drops an answer to an older offer unread, and an answer that comes twice', () => {
    const { negotiation, offer, answer } = participant();
    const first = offer();
    answer(first);
    expect(negotiation.answer(first.id, 'garbage')).toBeUndefined();
    const second = offer();
    expect(negotiation.answer(first.id, 'garbage')).toBeUndefined();
    expect(negotiation.answer('nonsense', 'garbage')).toBeUndefined();
    expect(answer(second)).toBeDefined();
    expect(negotiation.outstanding).toBe(false);
  });

  it("gives a leaver's section to the next of its kind, under the same mid, once its end was answered", () => {
    const { negotiation, offer, answer, show } = participant();
    const leaver = show(10);
    answer(offer());
    negotiation.free(leaver);
    // The client does not know of the end yet.
    const newcomer = show(20);
    expect(newcomer.mid).not.toBe(leaver.mid);
    const second = offer();
    expect(directions(second.sdp).slice(2)).toEqual(['inactive', 'sendonly']);
    expect(ssrcs(second.sdp).slice(2)).toEqual([undefined, 20]);
    answer(second);
    expect(negotiation.take('audio').mid).toBe('4');
    expect(show(30).mid).toBe(leaver.mid);
    expect(ssrcs(offer().sdp).slice(2)).toEqual([30, 20, undefined]);
  });

  it('does not reuse a section whose track left before the client answered that it had come', () => {
    const { negotiation, offer, answer, show } = participant();
    const passing = show(10);
    const first = offer();
    negotiation.free(passing);
    answer(first);
    expect(negotiation.take('video').mid).not.toBe(passing.mid);
  });

  it('reuses a section that the client rejected', () => {
    const { negotiation, offer, identity, show } = participant();
    const rejected = show(10);
    const { id, sdp } = offer();
    const answer = writeAnswer(sdp, { identity }).replace(/m=video 9(?![\s\S]*m=)/, 'm=video 0');
    expect(negotiation.answer(id, answer)?.sections[2]).toMatchObject({ direction: 'inactive', codecs: [] });
    negotiation.free(rejected);
    expect(negotiation.take('video').mid).toBe(rejected.mid);
  });

  it('never gives the own section of a caller to anybody else', () => {
    const { negotiation, offer, answer } = participant();
    negotiation.own('video', 'inactive');
    answer(offer());
    expect(negotiation.take('video').mid).toBe('2');
    expect(negotiation.own('video', 'recvonly').mid).toBe('1');
  });

  it('never writes port 0', () => {
    const { negotiation, offer, answer, show } = participant();
    const leaver = show(10);
    answer(offer(), { kinds: ['audio'] });
    negotiation.free(leaver);
    negotiation.own('audio', 'inactive');
    expect(parse(offer().sdp).media.map(({ port }) => port)).toEqual([9, 9, 9]);
  });

  it('keeps the mid of every section within 8 bytes', () => {
    const { negotiation } = participant();
    const mids = Array.from({ length: 200 }, () => negotiation.take('video').mid);
    expect(new Set(mids).size).toBe(200);
    for (const mid of mids) expect(mid.length).toBeLessThanOrEqual(8);
  });

  it('tells while an offer with new ICE credentials is unanswered', () => {
    const { negotiation, offer, answer } = participant();
    answer(offer());
    expect(negotiation.restarting).toBe(false);
    const restart = offer(true);
    expect(negotiation.restarting).toBe(true);
    answer(restart);
    expect(negotiation.restarting).toBe(false);
  });

  it('refuses a first answer that leaves the DTLS role open', () => {
    const { negotiation, offer, identity } = participant();
    const { id, sdp } = offer();
    const answer = writeAnswer(sdp, { identity });
    for (const open of [
      answer.replace('setup:active', 'setup:passive'),
      answer.replaceAll('setup:active', 'setup:actpass'),
    ]) {
      expect(() => negotiation.answer(id, open)).toThrow(/setup active or passive/);
    }
    expect(negotiation.answer(id, answer)?.dtls?.role).toBe('client');
  });

  it('looks at the DTLS role of no later answer, and refuses one with another certificate', () => {
    const { negotiation, offer, answer, identity, show } = participant();
    answer(offer());
    show(10);
    const changed = ['passive', 'actpass', 'holdconn', ''].map((role) => (sdp: string) => {
      return sdp.replaceAll('a=setup:active', `a=setup:${role}`);
    });
    const mixed = (sdp: string) => sdp.replace('a=setup:active', 'a=setup:passive');
    const silent = (sdp: string) => sdp.replaceAll('a=setup:active\r\n', '');
    for (const change of [...changed, mixed, silent]) {
      const { id, sdp } = offer();
      expect(negotiation.answer(id, change(writeAnswer(sdp, { identity })))?.sections).toHaveLength(3);
    }
    const last = offer();
    const failed = expect.objectContaining({ code: 'negotiation_failed' });
    expect(() => answer(last, { identity: newIdentity() })).toThrow(failed);
    expect(answer(last)).toBeDefined();
  });

  it('takes only the certificate that the call is bound to, however it is written', () => {
    const bound = newIdentity().fingerprint;
    const right = participant(`SHA-256 ${bound.toLowerCase()}`);
    const first = right.offer();
    expect(() => right.answer(first)).toThrow(/bound/);
    expect(right.answer(first, { identity: newIdentity({ fingerprint: bound }) })).toBeDefined();
  });
});
