import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FrameError, readFrame, StreamFrames } from '../../src/application/stream-frames.ts';

describe('what is sent to an application', () => {
  it('is counted in strings, and names the stream', () => {
    const frames = new StreamFrames({ accountSid: 'team', callSid: 'sess', customParameters: { a: '"' } }, 'MZ1');
    const sent = [
      frames.start(),
      frames.media(Buffer.alloc(160)),
      frames.dtmf('#'),
      frames.media(Buffer.of(1)),
      frames.mark('"\u2028'),
      frames.stop(),
    ].map((text) => JSON.parse(text));
    expect(sent.map(({ sequenceNumber }) => sequenceNumber)).toEqual(['1', '2', '3', '4', '5', '6']);
    expect(new Set(sent.map(({ streamSid }) => streamSid))).toEqual(new Set(['MZ1']));
    expect(sent[3]).toEqual({
      event: 'media',
      sequenceNumber: '4',
      streamSid: 'MZ1',
      media: { track: 'inbound', chunk: '2', timestamp: '20', payload: 'AQ==' },
    });
    expect([sent[0].start.customParameters, sent[4].mark, sent[5].stop]).toEqual([
      { a: '"' },
      { name: '"\u2028' },
      { accountSid: 'team', callSid: 'sess' },
    ]);
  });
});

describe('what an application sends', () => {
  it('may hold more than is needed', () => {
    const text =
      '{"event":"media","streamSid":"MZ1","sequenceNumber":"4","media":{"track":"outbound","payload":"AQI="}}';
    expect(readFrame(text)).toEqual({ event: 'media', audio: Buffer.of(1, 2) });
    expect(readFrame('{"event":"clear"}')).toEqual({ event: 'clear' });
    expect(readFrame('{"event":"connected"}')).toBeUndefined();
  });

  it.each([
    '',
    'null',
    '[]',
    '{"event":1}',
    '{"event":"media","media":{}}',
    '{"event":"media","media":{"payload":"a-b_"}}',
    '{"event":"mark","mark":{"name":7}}',
    `{"event":"mark","mark":{"name":"${'a'.repeat(1025)}"}}`,
    '{"event":"message","message":{}}',
    `{"event":"message","message":{"content":"${'a'.repeat(4096)}"}}`,
  ])('is refused when it is %s', (text) => {
    expect(() => readFrame(text)).toThrow(FrameError);
  });

  it('makes nothing else than a refusal, whatever it is', () => {
    const words = fc.constantFrom(
      'event',
      'media',
      'mark',
      'clear',
      'message',
      'name',
      'payload',
      'content',
      '__proto__',
    );
    const frames = fc.dictionary(words, fc.oneof(words, fc.jsonValue(), fc.dictionary(words, fc.jsonValue())));
    fc.assert(
      fc.property(fc.oneof(frames, fc.jsonValue()), (frame) => {
        try {
          readFrame(JSON.stringify(frame));
        } catch (error) {
          expect(error).toBeInstanceOf(FrameError);
        }
      }),
    );
  });
});
