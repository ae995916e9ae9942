import { describe, expect, it } from 'vitest';
import { CallError } from '../../src/client/errors.ts';
import { readServerMessage } from '../../src/client/server-message.ts';

const session = {
  id: 'sess_1',
  endpoint_id: 'ep',
  expires_at: '2030-01-01T00:00:00Z',
  expires_in_ms: 1,
  ticket: 't',
  grace_ms: 30_000,
};

describe('what the server says', () => {
  it.each([
    { type: 'offer', offer_id: '1', sdp: 'v=0', session },
    { type: 'resumed', session },
    { type: 'live' },
    { type: 'tracks', tracks: [{ mid: '1', kind: 'audio', participant: 'p' }] },
    { type: 'application', state: 'connected' },
    { type: 'message', content: null },
    { type: 'expiring', expires_in_ms: 10_000 },
    { type: 'ended', reason: 'expired' },
    { type: 'error', code: 'token_used', message: 'no', retryable: false },
  ])('is taken as $type', (message) => {
    expect(readServerMessage(JSON.stringify(message))).toEqual(message);
  });

  it.each([
    ['a type of a newer server', { type: 'weather', sunny: true }],
    ['an offer without a description', { type: 'offer', offer_id: '1', session }],
    ['tracks that are none', { type: 'tracks', tracks: [null] }],
    ['an error code of a newer server', { type: 'error', code: 'token_bored', message: 'no', retryable: false }],
    ['a list', []],
    ['nothing', null],
  ])('is passed over when it is %s', (_, message) => {
    expect(readServerMessage(JSON.stringify(message))).toBeUndefined();
  });

  it('is passed over when it is not JSON text', () => {
    expect(readServerMessage('{')).toBeUndefined();
    expect(readServerMessage(new ArrayBuffer(2))).toBeUndefined();
  });
});

describe('a call error', () => {
  it('carries the close code that belongs to the server’s code', () => {
    expect(new CallError('token_used')).toMatchObject({ code: 'token_used', closeCode: 4409, retryable: false });
  });

  it('has no close code when nothing was closed for it', () => {
    expect(new CallError('media_denied')).toMatchObject({
      closeCode: undefined,
      message: expect.stringMatching(/refused/),
    });
  });
});
