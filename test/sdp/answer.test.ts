import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CallgateError } from '../../src/errors.ts';
import { newIdentity, writeAnswer } from '../../src/peer/sdp/answer.ts';
import { maxAnswerBytes } from '../../src/protocol/limits.ts';
import { readAnswer } from '../../src/sdp/answer.ts';
import { type AnsweredSection, answeredCapabilities, producerParameters } from '../../src/sdp/answered-section.ts';
import { writeOffer } from '../../src/sdp/offer.ts';
import { ownSections, recorded, TRANSPORT } from '../support/sdp.ts';

const CHROMIUM = recorded('chromium-156-answer');
const FIREFOX = recorded('firefox-153-answer');
const SIMULCAST = { simulcast: true, videoCodec: 'VP8' } as const;

const read = (sdp: string, offered = ownSections()) => readAnswer(sdp, offered);
const video = (sdp: string, offered = ownSections()) => read(sdp, offered).sections[1]!;
const produced = (section: AnsweredSection) => producerParameters(section, 'p_1');

/** The message of the refusal; fails the test when the answer is taken or anything else is thrown. */
const refusal = (sdp: string, offered = ownSections()): string => {
  try {
    read(sdp, offered);
  } catch (error) {
    if (error instanceof CallgateError && error.code === 'negotiation_failed') return error.message;
    throw error;
  }
  throw new Error('the answer was taken');
};

describe("Chromium's answer", () => {
  it('gives the certificate, the role and one section for each that was offered', () => {
    const { fingerprint, role, sections } = read(CHROMIUM);
    expect(fingerprint).toMatch(/^68:95:62:D9:/);
    expect(role).toBe('server');
    expect(sections.map(({ mid, kind, direction }) => [mid, kind, direction])).toEqual([
      ['0', 'audio', 'sendrecv'],
      ['1', 'video', 'sendrecv'],
    ]);
  });

  it('makes a producer of its first codec, the RTX of that, and its SSRCs', () => {
    expect(produced(video(CHROMIUM))).toMatchObject({
      mid: '1',
      codecs: [
        { mimeType: 'video/VP8', payloadType: 101 },
        { mimeType: 'video/rtx', payloadType: 102, parameters: { apt: 101 } },
      ],
      encodings: [{ ssrc: 3901857004, rtx: { ssrc: 1430582140 } }],
      rtcp: { cname: 'p_1', reducedSize: true },
    });
  });

  it('limits feedback and header extensions to what it has', () => {
    const [audio] = read(CHROMIUM).sections;
    expect(audio!.codecs[0]?.rtcpFeedback?.map(({ type }) => type)).toEqual(['transport-cc']);
    expect(audio!.headerExtensions.map(({ id }) => id)).toEqual([1, 4, 6, 10]);
  });

  it('tells what the client can be given', () => {
    expect(answeredCapabilities(video(CHROMIUM)).codecs?.map(({ mimeType }) => mimeType)).toEqual([
      'video/VP8',
      'video/rtx',
    ]);
  });
});

describe("Firefox's answer", () => {
  it('makes a simulcast producer of its RIDs, not of its SSRCs, in the order of a=simulcast', () => {
    const parameters = produced(video(FIREFOX, ownSections(SIMULCAST)));
    expect(parameters?.encodings?.map(({ rid }) => rid)).toEqual(['l', 'm', 'h']);
    expect(parameters?.encodings?.some(({ ssrc }) => ssrc !== undefined)).toBe(false);
  });

  it.each([
    ['h;m;l', ['h', 'm', 'l']],
    ['l;~m;h', ['l', 'h']],
    ['~l,m;h', ['m', 'h']],
    ['l', ['l']],
    ['~l;~m;~h', ['l', 'm', 'h']],
  ])('reads the layers %s as %j', (list, rids) => {
    const sdp = FIREFOX.replace('send l;m;h', `send ${list}`);
    expect(produced(video(sdp, ownSections(SIMULCAST)))?.encodings?.map(({ rid }) => rid)).toEqual(rids);
  });

  it('takes its first SSRC where it was offered no simulcast and cannot mark its packets', () => {
    const plain = FIREFOX.replace(/a=(rid|simulcast|extmap:2\/|extmap:3\/).*\r?\n/g, '');
    expect(produced(video(plain))?.encodings).toEqual([{ ssrc: 2472673588, rtx: { ssrc: 2755288500 } }]);
  });
});

describe('other honest answers', () => {
  const offered = ownSections();
  const offer = writeOffer(1, TRANSPORT, offered);

  it('can reject a section', () => {
    const [audio, rejected] = read(writeAnswer(offer, { kinds: ['audio'] })).sections;
    expect(audio?.direction).toBe('sendrecv');
    expect(rejected).toMatchObject({ direction: 'inactive', codecs: [], encodings: [] });
    expect(produced(rejected!)).toBeUndefined();
  });

  it('can leave the mid out of a rejected section', () => {
    const sdp = writeAnswer(offer, { kinds: ['audio'] }).replace('a=mid:1\r\n', '');
    expect(read(sdp).sections[1]?.mid).toBe('1');
  });

  it('can reject the first section, which then is not bundled', () => {
    expect(read(writeAnswer(offer, { kinds: ['video'] })).sections.map(({ direction }) => direction)).toEqual([
      'inactive',
      'sendrecv',
    ]);
  });

  it('can do without SSRCs, because packets carry the MID', () => {
    expect(produced(video(writeAnswer(offer, { ssrc: false })))?.encodings).toEqual([{}]);
  });

  it('can do without the MID extension, because the SSRC is known', () => {
    const sdp = writeAnswer(offer).replace(/a=extmap:1 .*\r\n/g, '');
    expect(produced(video(sdp))?.encodings).toHaveLength(1);
    expect(video(sdp).headerExtensions.map(({ id }) => id)).not.toContain(1);
  });

  it('can have fingerprint and setup on the session, in any case', () => {
    const identity = newIdentity();
    const lower = identity.fingerprint.toLowerCase();
    const sdp = writeAnswer(offer, { identity })
      .replace(/a=(fingerprint|setup):.*\r\n/g, '')
      .replace('t=0 0\r\n', `t=0 0\r\na=fingerprint:SHA-256 ${lower}\r\na=setup:active\r\n`);
    expect(read(sdp)).toMatchObject({ fingerprint: identity.fingerprint, role: 'client' });
  });

  it('can say setup in the first section alone, which speaks for its bundle', () => {
    const [first = '', ...others] = writeAnswer(offer).split(/(?=^m=video)/m);
    expect(read(first + others.join('').replace('a=setup:active\r\n', '')).role).toBe('client');
  });

  it.each([
    ['none', CHROMIUM.replaceAll('a=setup:passive', 'a=x')],
    ['actpass', CHROMIUM.replaceAll('a=setup:passive', 'a=setup:actpass')],
    ['two', CHROMIUM.replace('a=setup:passive', 'a=setup:active')],
    ['a word of its own', CHROMIUM.replaceAll('a=setup:passive', 'a=setup:__proto__')],
  ])('can leave the DTLS role open, with %s: only a first answer needs one', (_, sdp) => {
    expect(read(sdp).role).toBeUndefined();
  });

  it('can name another hash beside sha-256', () => {
    const sdp = writeAnswer(offer).replace(/(a=fingerprint:)/, 'a=fingerprint:sha-512 AA:BB\r\n$1');
    expect(read(sdp).fingerprint).toMatch(/^[0-9A-F:]{95}$/);
  });

  it('can only listen, which makes no producer', () => {
    const section = video(writeAnswer(offer, { direction: 'recvonly' }));
    expect(section.direction).toBe('sendonly');
    expect(produced(section)).toBeUndefined();
    expect(section.codecs.length).toBeGreaterThan(0);
  });

  it('can have feedback for all payload types at once', () => {
    const sdp = writeAnswer(offer)
      .replace(/a=rtcp-fb:.*\r\n/g, '')
      .replaceAll('a=rtcp-mux', 'a=rtcp-fb:* nack pli\r\na=rtcp-mux');
    expect(video(sdp).codecs[0]?.rtcpFeedback).toMatchObject([{ type: 'nack', parameter: 'pli' }]);
  });

  it('leaves out an extension that the client renumbered, and RTX that it did not take', () => {
    const sdp = writeAnswer(offer)
      .replaceAll('a=extmap:9 ', 'a=extmap:14 ')
      .replace(/( |a=rtpmap:|a=fmtp:)102.*(?=\r\n)/g, (line) => (line.startsWith(' ') ? ' 101' : 'a=x'));
    expect(video(sdp).headerExtensions.map(({ id }) => id)).not.toContain(9);
    expect(produced(video(sdp))?.codecs.map(({ payloadType }) => payloadType)).toEqual([101]);
  });
});

describe('answers in the same words', () => {
  const offered = ownSections();
  const offer = writeOffer(1, TRANSPORT, offered);
  const answers = (count: number) => Array.from({ length: count }, () => newIdentity());

  it('are told apart by their certificates, roles and SSRCs', () => {
    for (const [index, plain] of answers(10).entries()) {
      const identity = { ...plain, setup: index % 2 === 0 ? ('active' as const) : ('passive' as const) };
      const answer = read(writeAnswer(offer, { identity }));
      expect(answer).toMatchObject({ fingerprint: identity.fingerprint, role: index % 2 === 0 ? 'client' : 'server' });
      const { media, rtx } = identity.ssrcs.get('1')!;
      expect(answer.sections[1]?.encodings).toEqual([{ ssrc: media, rtx: { ssrc: rtx } }]);
    }
  });

  it('are read alike after many others, and after ones that are hardly shorter', () => {
    const first = read(CHROMIUM);
    for (let other = 0; other < 200; other += 1)
      read(CHROMIUM.replace('a=fmtp:101', `a=fmtp:101 x=${other}\r\na=fmtp:101`));
    expect(read(CHROMIUM)).toEqual(first);
    expect(refusal(CHROMIUM.replace('a=rtcp-mux', 'a=x'))).toMatch(/rtcp-mux/);
    expect(read(CHROMIUM)).toEqual(first);
  });
});

describe('what was not offered', () => {
  const edit = (from: string | RegExp, to: string) => CHROMIUM.replace(from, to);
  const payloadTypes = (section: AnsweredSection) => section.codecs.map(({ payloadType }) => payloadType);

  it.each([
    [
      'telephone-event first',
      edit('SAVPF 100', 'SAVPF 126 100').replace('a=rtpmap:100', 'a=rtpmap:126 telephone-event/8000\r\na=rtpmap:100'),
    ],
    ['comfort noise, which needs no rtpmap', edit('SAVPF 100', 'SAVPF 13 100')],
    ['PCMU and PCMA', edit('SAVPF 100', 'SAVPF 0 8 100')],
    [
      'RED over Opus',
      edit('SAVPF 100', 'SAVPF 63 100').replace(
        'a=rtpmap:100',
        'a=rtpmap:63 red/48000/2\r\na=fmtp:63 100/100\r\na=rtpmap:100',
      ),
    ],
    ['the payload type of another section', edit('SAVPF 100', 'SAVPF 101 100')],
    ['a payload type twice', edit('SAVPF 100', 'SAVPF 100 100')],
    ['what is no payload type', edit('SAVPF 100', `SAVPF 100 x -1 ${'9'.repeat(400)} 0100`)],
    ['Opus without its channels', edit('opus/48000/2', 'opus/48000')],
    ['Opus in capitals', edit('opus/48000/2', 'OPUS/48000/2')],
    ['Opus of one channel', edit('opus/48000/2', 'opus/48000/1')],
    ['an rtpmap of a format that it did not take', edit('a=rtpmap:100', 'a=rtpmap:9 G722/8000\r\na=rtpmap:100')],
    [
      'a format parameter',
      edit('a=rtpmap:100', 'a=fmtp:100 cbr=1;maxplaybackrate=16000\r\na=fmtp:9 x=y\r\na=rtpmap:100'),
    ],
    [
      'feedback',
      edit('a=rtpmap:100', 'a=rtcp-fb:100 goog-remb\r\na=rtcp-fb:9 nack\r\na=rtcp-fb:* ccm xyz\r\na=rtpmap:100'),
    ],
    ['a header extension', edit('a=rtpmap:100', 'a=extmap:13 urn:example:foreign\r\na=rtpmap:100')],
    [
      'attributes that nobody knows',
      edit('a=rtpmap:100', 'a=ptime:20\r\na=x-foreign:1\r\na=bundle-only\r\nb=AS:64\r\na=rtpmap:100'),
    ],
  ])('is passed over: %s', (_name, sdp) => {
    expect(read(sdp)).toEqual(read(CHROMIUM));
  });

  it.each([
    ['is another codec', edit('a=rtpmap:101 VP8/90000', 'a=rtpmap:101 AV1/90000')],
    ['has no rtpmap', edit('a=rtpmap:101 VP8/90000', 'a=x')],
    ['has two', edit('a=rtpmap:101 VP8/90000', 'a=rtpmap:101 VP8/90000\r\na=rtpmap:101 AV1/90000')],
  ])('is a payload type that %s, and the next codec is taken', (_name, sdp) => {
    const both = sdp
      .replace('SAVPF 101 102', 'SAVPF 101 102 103')
      .replace('a=rtpmap:102', 'a=rtpmap:103 VP9/90000\r\na=rtpmap:102');
    expect(produced(video(both))?.codecs).toMatchObject([{ mimeType: 'video/VP9', payloadType: 103 }]);
  });

  it('is RTX of another codec, and the media goes without', () => {
    expect(payloadTypes(video(edit('apt=101', 'apt=103')))).toEqual([101]);
  });

  it('is a layer, and the others are taken', () => {
    const sdp = FIREFOX.replace('send l;m;h', 'send l;x;h');
    const encodings = produced(video(sdp, ownSections(SIMULCAST)))?.encodings;
    expect(encodings?.map(({ rid }) => rid)).toEqual(['l', 'h']);
  });

  const number = fc.integer({ min: 0, max: 99 });
  const word = fc.stringMatching(/^[A-Za-z][\w-]{0,11}$/);
  const extra = fc.oneof(
    fc.tuple(number, word).map(([pt, name]) => `a=rtpmap:${pt} ${name}/8000`),
    fc.tuple(number, word).map(([pt, name]) => `a=fmtp:${pt} ${name}=1`),
    fc.tuple(number, word).map(([pt, name]) => `a=rtcp-fb:${pt} ${name}`),
    fc.tuple(fc.integer({ min: 1, max: 255 }), word).map(([id, name]) => `a=extmap:${id} urn:x:${name}`),
    fc
      .tuple(word, fc.string({ unit: 'binary-ascii' }))
      .map(([name, text]) => `a=x-${name}:${text.replace(/[\r\n]/g, '')}`),
    fc.constantFrom(
      'a=ptime:20',
      'a=maxptime:120',
      'b=AS:500',
      'a=rtcp:9 IN IP4 0.0.0.0',
      'a=crypto:1 x inline:y',
      'i=x',
    ),
  );
  const section = fc.record({
    before: fc.array(number, { maxLength: 5 }),
    after: fc.array(number, { maxLength: 5 }),
    lines: fc.array(extra),
  });

  it.each([
    ['chromium-156-answer', CHROMIUM, ownSections()],
    ['firefox-153-answer', FIREFOX, ownSections(SIMULCAST)],
  ])('changes nothing of %s, whatever it is', (_name, sdp, offered) => {
    const plain = read(sdp, offered);
    fc.assert(
      fc.property(fc.tuple(section, section), (extras) => {
        const withExtras = sdp.split(/(?=^m=)/m).map((part, index) => {
          const { before = [], after = [], lines = [] } = extras[index - 1] ?? {};
          const formats = part.replace(/^(m=\w+ \d+ [\w/]+) ([\d ]+)/, (_, head, own) =>
            [head, ...before, own, ...after].join(' '),
          );
          return index === 0 ? part : formats + lines.map((line) => `${line}\r\n`).join('');
        });
        expect(read(withExtras.join(''), offered)).toEqual(plain);
      }),
      { numRuns: 300 },
    );
  });
});

describe('a hostile answer is negotiation_failed and told without its own words:', () => {
  const lines = (count: number) => `${CHROMIUM}${'a=x\r\n'.repeat(count)}`;
  const edit = (from: string | RegExp, to: string) => CHROMIUM.replaceAll(from, to);
  const firstVideo = (line: string) => CHROMIUM.replace('a=mid:1', `${line}\r\na=mid:1`);
  const cases: Record<string, [reason: RegExp, sdp: string]> = {
    nothing: [/media sections/, ''],
    garbage: [/media sections/, 'garbage\u0000\u2028'.repeat(100)],
    'one section too few': [/media sections/, CHROMIUM.slice(0, CHROMIUM.indexOf('m=video'))],
    'one section too many': [/media sections/, `${CHROMIUM}m=video 9 UDP/TLS/RTP/SAVPF 101\r\n`],
    'changed mids': [/mid/, edit('a=mid:1', 'a=mid:evil')],
    'no mid': [/mid/, edit(/a=mid:1\r?\n/g, '')],
    'prototype keys': [/mid/, edit(/^a=mid:(.)/gm, 'a=mid:__proto__')],
    'swapped kinds': [/kind/, edit('m=audio', 'm=video')],
    'two fingerprints': [/one sha-256/, firstVideo(`a=fingerprint:sha-256 ${Array(32).fill('00').join(':')}`)],
    'a malformed fingerprint': [/malformed/, edit(/a=fingerprint:sha-256 \S+/g, 'a=fingerprint:sha-256 evil')],
    'only another hash': [/one sha-256/, edit('sha-256', 'sha-1')],
    'only the payload type of another section': [/no codec/, edit('SAVPF 100', 'SAVPF 101')],
    'no payload type': [/no codec/, edit('SAVPF 101 102', 'SAVPF')],
    'only a huge number': [/no codec/, edit('SAVPF 101 102', `SAVPF ${'9'.repeat(400)}`)],
    'RTX alone': [/no codec/, edit('SAVPF 101 102', 'SAVPF 102')],
    'only a remapped codec': [/no codec/, edit('a=rtpmap:101 VP8', 'a=rtpmap:101 VP9')],
    'only another clock rate': [/no codec/, edit('opus/48000/2', 'opus/8000/2')],
    'only an unmapped codec': [/no codec/, edit('a=rtpmap:101 VP8/90000', 'a=x')],
    'sections outside the bundle': [/bundle/, edit('a=group:BUNDLE 0 1', 'a=group:BUNDLE 0')],
    'no rtcp-mux': [/rtcp-mux/, edit('a=rtcp-mux', 'a=x')],
    'all rejected': [/accepts no/, edit(/^m=(\w+) 9/gm, 'm=$1 0')],
    'an SSRC beyond 32 bits': [/SSRC/, edit('3901857004', '99999999999999999999')],
    'SSRC 0': [/SSRC/, edit('3901857004', '0')],
    'an SSRC that repairs itself': [/SSRC/, edit('FID 3901857004 1430582140', 'FID 3901857004 3901857004')],
    'the SSRC of another section': [/SSRC twice/, edit('3428487268', '3901857004')],
    'only foreign RIDs': [/no RID/, firstVideo('a=simulcast:send evil')],
    '10,000 lines': [/too long/, lines(10_000)],
    '2,001 lines': [/too long/, lines(2001 - CHROMIUM.split('\n').length)],
    'too many characters': [/too long/, `${CHROMIUM}a=${'x'.repeat(maxAnswerBytes(2))}`],
  };

  it.each(Object.entries(cases))('%s', (_name, [reason, sdp]) => {
    const message = refusal(sdp);
    expect(message).toMatch(reason);
    expect(message).not.toMatch(/evil|proto|99999/);
  });

  it('directions that were not offered', () => {
    expect(refusal(CHROMIUM, ownSections({}, 'recvonly'))).toMatch(/direction/);
    expect(refusal(CHROMIUM, ownSections({}, 'inactive'))).toMatch(/direction/);
  });

  it('nothing that its packets could be told apart by', () => {
    expect(refusal(edit(/a=(ssrc|extmap:1 ).*\r?\n/g, ''))).toMatch(/SSRC or the MID/);
  });
});

describe('mutated answers', () => {
  const LINES = [...CHROMIUM.split('\r\n'), ...FIREFOX.split('\r\n')];
  const line = fc.oneof(
    fc.constantFrom(...LINES),
    fc.tuple(fc.constantFrom(...LINES), fc.string(), fc.nat(60)).map(([a, b, at]) => a.slice(0, at) + b + a.slice(at)),
    fc.constantFrom(
      'm=',
      'm=audio 9',
      'a=ssrc-group:FID',
      'a=simulcast:send ;;,~',
      'a=rtpmap:',
      'a=fmtp:102 apt=',
      'a=extmap:1',
    ),
  );
  const edits = fc.array(fc.record({ at: fc.nat(200), remove: fc.nat(3), insert: fc.array(line, { maxLength: 3 }) }), {
    minLength: 1,
    maxLength: 8,
  });

  it.each([
    ['chromium-156-answer', CHROMIUM, ownSections()],
    ['firefox-153-answer', FIREFOX, ownSections(SIMULCAST)],
  ])('of %s are read or refused, and never anything else', (_name, sdp, offered) => {
    fc.assert(
      fc.property(edits, (all) => {
        const changed = sdp.split(/\r?\n/);
        for (const { at, remove, insert } of all) changed.splice(at % changed.length, remove, ...insert);
        try {
          for (const section of read(changed.join('\r\n'), offered).sections) checkUsable(section, offered);
        } catch (error) {
          if (!(error instanceof CallgateError) || error.code !== 'negotiation_failed') throw error;
        }
      }),
      { numRuns: 500 },
    );
  });

  /** What was read is within what was offered, whatever was written. */
  const checkUsable = (section: AnsweredSection, offered: ReturnType<typeof ownSections>): void => {
    const format = offered.find(({ mid }) => mid === section.mid)!.format;
    const payloadTypes = format.codecs.map(({ payloadType }) => payloadType);
    for (const { payloadType } of section.codecs) expect(payloadTypes).toContain(payloadType);
    for (const { ssrc, rid } of section.encodings) {
      if (ssrc !== undefined) expect(Number.isInteger(ssrc) && ssrc > 0 && ssrc < 2 ** 32).toBe(true);
      if (rid !== undefined) expect(format.rids).toContain(rid);
    }
    expect(section.encodings.length).toBeLessThanOrEqual(3);
  };
});
