import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CallgateError } from '../../src/errors.ts';
import { parseClientMessage } from '../../src/protocol/codec.ts';
import { decodeEarlyStart, readProtocols } from '../../src/protocol/early-start.ts';

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
  const text = '{"type":"start","endpoint_id":"ep_é","token":"x"}';
  const encoded = Buffer.from(text).toString('base64url');

  it('is found among the offered subprotocols', () => {
    expect(readProtocols(`callgate.v1, callgate.start.${encoded}`)).toEqual({ known: true, earlyStart: encoded });
    expect(readProtocols('callgate.v1')).toEqual({ known: true });
    expect(readProtocols(undefined)).toEqual({ known: false });
    expect(readProtocols('callgate.v2,graphql-ws')).toEqual({ known: false });
  });

  it('is unpadded base64url of the same JSON', () => {
    expect(decodeEarlyStart(encoded)).toBe(text);
    for (const wrong of ['', 'ab=', 'a b', 'a+b']) expect(refusal(() => decodeEarlyStart(wrong))).toBe('bad_message');
  });
});
