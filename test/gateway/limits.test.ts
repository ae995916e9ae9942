import { describe, expect, it } from 'vitest';
import type { Config } from '../../src/config/config.ts';
import { originAllowed } from '../../src/directory/origin.ts';
import { AddressLimits } from '../../src/gateway/limits.ts';
import { MessageRate } from '../../src/gateway/message-rate.ts';

const admission = {
  failed_presentations_per_minute: 2,
  limit_loopback: false,
} as Config['admission'];
const peer = { address: '203.0.113.9', key: '203.0.113.9', loopback: false };
const neighbour = { ...peer, key: '203.0.113.10' };
const loopback = { address: '127.0.0.1', key: '127.0.0.1', loopback: true };

describe('the limits of an address', () => {
  it('let so many presentations fail in a minute', async () => {
    const limits = new AddressLimits(admission);
    expect(await limits.recordFailure(peer)).toBe(true);
    expect(await limits.recordFailure(peer)).toBe(true);
    expect(await limits.recordFailure(peer)).toBe(false);
    expect(await limits.recordFailure(neighbour)).toBe(true);
  });

  it('count nobody whose address is not known', async () => {
    const limits = new AddressLimits(admission);
    const unknown = { address: 'unknown', key: undefined, loopback: false };
    for (let i = 0; i < 5; i += 1) expect(await limits.recordFailure(unknown)).toBe(true);
  });

  it('leave loopback alone unless told otherwise', async () => {
    const open = new AddressLimits(admission);
    const strict = new AddressLimits({ ...admission, limit_loopback: true });
    for (const expected of [true, true, false]) expect(await strict.recordFailure(loopback)).toBe(expected);
    for (let i = 0; i < 3; i += 1) expect(await open.recordFailure(loopback)).toBe(true);
  });
});

describe('the message rate', () => {
  it('allows so many messages a second, and forgets them after it', () => {
    const rate = new MessageRate(2);
    expect([
      rate.allow(0),
      rate.allow(1),
      rate.allow(999),
      rate.allow(1000),
      rate.allow(1001),
      rate.allow(1002),
    ]).toEqual([true, true, false, true, true, false]);
  });
});

describe('an origin', () => {
  it('is allowed when the endpoint lists it, lists all, or there is none', () => {
    expect(originAllowed(undefined, [])).toBe(true);
    expect(originAllowed('https://app.example', ['*'])).toBe(true);
    expect(originAllowed('https://app.example', ['https://app.example'])).toBe(true);
  });

  it('is denied when it is another one, a sub-domain, another port, or opaque', () => {
    for (const origin of ['https://evil.example', 'https://x.app.example', 'https://app.example:8443', 'null']) {
      expect(originAllowed(origin, ['https://app.example'])).toBe(false);
    }
  });
});
