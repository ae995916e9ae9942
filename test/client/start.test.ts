import { describe, expect, it } from 'vitest';
import { earlyStart } from '../../src/client/start.ts';
import { readEarlyStart } from '../../src/gateway/early-start.ts';
import type { StartMessage } from '../../src/protocol/messages.ts';

const start = (token: string): StartMessage => ({
  type: 'start',
  endpoint_id: 'ep_écho',
  token,
  media: { audio: 'sendrecv' },
});

describe('an early start', () => {
  it('reaches the server as the very message, beside the protocol', () => {
    const protocols = earlyStart(start('header.payload.signature'));
    expect(readEarlyStart(protocols?.join(', '))).toEqual(start('header.payload.signature'));
  });

  it('is a token by RFC 9110 section 5.6.2, which a subprotocol must be', () => {
    for (const length of [1, 2, 3, 4])
      expect(earlyStart(start('ÿ'.repeat(length)))?.[1]).toMatch(/^[!#$%&'*+.^_`|~\w-]+$/);
  });

  it('is left to a frame when it would not fit into 4 KiB', () => {
    expect(earlyStart(start('x'.repeat(2900)))?.[1]?.length).toBeLessThanOrEqual(4096);
    expect(earlyStart(start('x'.repeat(3000)))).toBeUndefined();
  });
});
