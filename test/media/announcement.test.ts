import { afterEach, describe, expect, it, vi } from 'vitest';
import { Announcement } from '../../src/media/announcement.ts';
import { startMedia } from '../support/media.ts';

const lines: unknown[] = [];
const note = (...entry: unknown[]) => void lines.push(entry);
const log = { info: note, warn: note, error: note };
const MINUTE_MS = 60_000;

afterEach(() => {
  vi.useRealTimers();
  lines.length = 0;
});

/** A name with the addresses of the moment; undefined is one that is not found. */
const nameServer = (...answers: (string[] | undefined)[]) => {
  let asked = 0;
  return async () => {
    const answer = answers[Math.min(asked++, answers.length - 1)];
    if (answer === undefined) throw new Error('getaddrinfo ENOTFOUND');
    return answer;
  };
};

describe('an announced name', () => {
  it('is its addresses of both families, without those that no client can reach', async () => {
    const found = nameServer(['203.0.113.8', '2001:db8::7', 'fe80::1', '203.0.113.7', '0.0.0.0', '203.0.113.7']);
    const announcement = await Announcement.open('media.example.com', log, found);
    expect(announcement.current).toEqual({ 4: ['203.0.113.7', '203.0.113.8'], 6: ['2001:db8::7'], name: true });
    announcement.close();
  });

  it('is resolved by the system, /etc/hosts included', async () => {
    const announcement = await Announcement.open('localhost', log);
    expect(announcement.current[4]).toEqual(['127.0.0.1']);
    announcement.close();
  });

  it.each([
    ['that is not found', undefined, /^the announced address media\.example cannot be resolved: .*ENOTFOUND/],
    ['whose addresses are of no use', ['0.0.0.0', 'fe80::1'], /no address that clients can reach/],
  ])('%s ends the start with a sentence', async (_what, answer, reason) => {
    await expect(Announcement.open('media.example', log, nameServer(answer))).rejects.toThrow(reason);
  });

  it('is looked up every minute; a change is told once, and a failure keeps what was there', async () => {
    vi.useFakeTimers();
    const a = ['203.0.113.7', '203.0.113.9'];
    const answers = nameServer(a, a.toReversed(), ['203.0.113.8'], undefined, undefined, ['203.0.113.8']);
    const announcement = await Announcement.open('media.example.com', log, answers);
    const first = announcement.current;
    await vi.advanceTimersByTimeAsync(MINUTE_MS);
    expect(announcement.current).toBe(first);
    await vi.advanceTimersByTimeAsync(MINUTE_MS);
    expect(announcement.current[4]).toEqual(['203.0.113.8']);
    await vi.advanceTimersByTimeAsync(3 * MINUTE_MS);
    expect(announcement.current[4]).toEqual(['203.0.113.8']);
    expect(lines).toMatchObject([
      [{ addresses: ['203.0.113.8'] }, expect.stringContaining('other addresses')],
      [{ name: 'media.example.com' }, expect.stringContaining('cannot be resolved')],
    ]);
    announcement.close();
    expect(vi.getTimerCount()).toBe(0);
  });
});

it('an announced address is never looked up', async () => {
  vi.useFakeTimers();
  const announcement = await Announcement.open('203.0.113.7', log, nameServer(undefined));
  expect(announcement.current).toEqual({ 4: ['203.0.113.7'], 6: [], name: false });
  expect(vi.getTimerCount()).toBe(0);
});

it('a change reaches new calls', async () => {
  const addresses = (v4: string) => ({ 4: [v4], 6: [], name: true });
  const announcement = { current: addresses('203.0.113.7'), close() {} };
  const listen = { addresses: ['0.0.0.0'], announced: announcement.current };
  const media = await startMedia({ listen, announcement });
  const told = async () => {
    const { sdp } = (await media.open()).call.firstOffer;
    const audio = sdp.slice(sdp.indexOf('m=audio'), sdp.indexOf('m=video'));
    return [...audio.matchAll(/^a=candidate:\S+ 1 (\S+) \d+ (\S+)/gm)].map(([, protocol, ip]) => `${protocol} ${ip}`);
  };
  expect(await told()).toEqual(['udp 203.0.113.7', 'tcp 203.0.113.7']);
  announcement.current = addresses('203.0.113.8');
  expect(await told()).toEqual(['udp 203.0.113.8', 'tcp 203.0.113.8']);
  await media.close();
});
