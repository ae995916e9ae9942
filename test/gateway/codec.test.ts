import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CallgateError } from '../../src/errors.ts';
import { parseClientMessage } from '../../src/gateway/codec.ts';
import { readEarlyStart } from '../../src/gateway/early-start.ts';

const refusal = (run: () => unknown): string => {
  try {
    run();
  } catch (error) {
    if (error instanceof CallgateError) return error.code;
    throw error;
  }
  return 'accepted';
};

const fingerprint = `sha-256 ${Array.from({ length: 32 }, () => 'Ab').join(':')}`;

describe('a client message', () => {
  it.each([
    { type: 'start', endpoint_id: 'ep_echo', token: 'x' },
    { type: 'start', endpoint_id: 'ep_echo', token: 'x', media: { audio: 'sendrecv', video: 'none', data: 'none' } },
    { type: 'start', endpoint_id: 'ep_echo', token: 'x', dtls_fingerprint: fingerprint, fresh: true },
    { type: 'resume', session_id: 'sess_1', ticket: 't' },
    { type: 'answer', offer_id: '1', sdp: 'v=0' },
    { type: 'candidate', candidate: null },
    { type: 'candidate', candidate: { candidate: '', sdpMid: '0', sdpMLineIndex: 0, usernameFragment: null } },
    { type: 'media', media: { video: 'sendonly' } },
    { type: 'restart_ice' },
    { type: 'hangup' },
  ])('of a documented form is taken: %j', (message) => {
    expect(parseClientMessage(JSON.stringify(message))).toEqual(message);
  });

  it.each([
    'null',
    '[]',
    '"start"',
    '{',
    '{}',
    '{"type":1}',
    '{"type":"toString"}',
    '{"type":"__proto__"}',
    '{"type":"hangup","why":"tired"}',
    '{"type":"hangup","__proto__":{}}',
    '{"type":"start","endpoint_id":"ep_echo"}',
    '{"type":"start","endpoint_id":"","token":"x"}',
    '{"type":"start","endpoint_id":"ep_echo","token":"x","media":{"audio":"loud"}}',
    '{"type":"start","endpoint_id":"ep_echo","token":"x","media":{"smell":"sendrecv"}}',
    '{"type":"start","endpoint_id":"ep_echo","token":"x","dtls_fingerprint":"sha-1 AA"}',
    '{"type":"answer","offer_id":1,"sdp":"v=0"}',
  ])('of any other form is a bad_message: %s', (text) => {
    expect(refusal(() => parseClientMessage(text))).toBe('bad_message');
  });

  it('that is random is a bad_message, and its error repeats nothing of it', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string({ minLength: 12 }), fc.json()), (text) => {
        try {
          parseClientMessage(text);
          return false;
        } catch (error) {
          return error instanceof CallgateError && error.code === 'bad_message' && !error.message.includes(text);
        }
      }),
      { numRuns: 1000 },
    );
  });
});

describe('an early start', () => {
  const start = { type: 'start', endpoint_id: 'ep_é', token: 'x' };
  const encode = (message: unknown) => Buffer.from(JSON.stringify(message)).toString('base64url');
  const offer = (encoded: string) => `callgate.v1, callgate.start.${encoded}`;

  it('is found among the offered subprotocols', () => {
    expect(readEarlyStart(offer(encode(start)))).toEqual(start);
    expect(readEarlyStart(`callgate.start.${encode(start)},callgate.v1`)).toEqual(start);
    expect(readEarlyStart('callgate.v1')).toBeUndefined();
  });

  it('goes with callgate.v1, and with nothing else', () => {
    for (const header of [undefined, '', 'callgate.v2,graphql-ws', `callgate.start.${encode(start)}`]) {
      expect(refusal(() => readEarlyStart(header))).toBe('bad_message');
    }
  });

  it('is one start, in unpadded base64url', () => {
    const wrong = ['', 'ab=', 'a b', 'a+b', encode('start'), encode({ type: 'hangup' }), encode({ ...start, more: 1 })];
    for (const encoded of wrong) expect(refusal(() => readEarlyStart(offer(encoded)))).toBe('bad_message');
    const twice = `${offer(encode(start))}, callgate.start.${encode(start)}`;
    expect(refusal(() => readEarlyStart(twice))).toBe('bad_message');
  });
});
