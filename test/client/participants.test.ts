import { beforeEach, describe, expect, it } from 'vitest';
import { Participants } from '../../src/client/participants.ts';
import type { Incoming } from '../../src/client/peer.ts';
import type { Track } from '../../src/protocol/messages.ts';

/** A section that media comes in on; there is no MediaStream here, and a list of tracks does. */
const section = (mid: string, kind: 'audio' | 'video', own = false): Incoming => ({
  mid,
  own,
  receiver: { track: { kind, id: mid } } as unknown as RTCRtpReceiver,
});
const on = (mid: string, kind: 'audio' | 'video', participant: string): Track => ({ mid, kind, participant });
const ids = (stream: MediaStream | undefined) => stream?.getTracks().map(({ id }) => id);

let participants: Participants;
beforeEach(() => {
  participants = new Participants();
});

describe('who is heard and seen', () => {
  it('is told by the server for the sections of others, and is remote on the own ones', () => {
    const incoming = [section('0', 'audio', true), section('1', 'audio'), section('2', 'video'), section('3', 'audio')];
    const tracks = [on('1', 'audio', 'ann'), on('2', 'video', 'ann')];
    expect(participants.arrange(incoming, tracks)).toBe(true);
    expect([...participants.present].map(([id, stream]) => [id, ids(stream)])).toEqual([
      ['remote', ['0']],
      ['ann', ['1', '2']],
    ]);
    expect(participants.arrange(incoming, tracks)).toBe(false);
  });

  it('goes, and has the same stream when it comes again', () => {
    participants.arrange([section('1', 'audio')], [on('1', 'audio', 'ann')]);
    const stream = participants.present.get('ann');
    expect(participants.arrange([], [])).toBe(true);
    expect(participants.present.size).toBe(0);
    participants.arrange([section('2', 'audio')], [on('2', 'audio', 'ann')]);
    expect(participants.present.get('ann')).toBe(stream);
  });
});

describe('on another connection', () => {
  const before = [section('1', 'audio'), section('2', 'video'), section('3', 'video')];
  beforeEach(() => {
    participants.arrange(before, [on('1', 'audio', 'ann'), on('2', 'video', 'ann'), on('3', 'video', 'bob')]);
    participants.await();
  });

  it('everyone keeps the old track of a kind until the new one is there, and nobody need be told', () => {
    const streams = [...participants.present.values()];
    expect(participants.arrange([], [])).toBe(false);
    expect(streams.map(ids)).toEqual([['1', '2'], ['3']]);
    expect(participants.arrange([section('11', 'audio')], [on('11', 'audio', 'ann')])).toBe(false);
    expect(streams.map(ids)).toEqual([['2', '11'], ['3']]);
    const all = [section('11', 'audio'), section('12', 'video'), section('13', 'video')];
    const tracks = [on('11', 'audio', 'ann'), on('12', 'video', 'ann'), on('13', 'video', 'bob')];
    expect(participants.arrange(all, tracks)).toBe(false);
    expect([...participants.present.values()]).toEqual(streams);
    expect(streams.map(ids)).toEqual([['11', '12'], ['13']]);
  });

  it('whoever does not come back is gone when it is waited for no more', () => {
    participants.arrange([section('11', 'audio')], [on('11', 'audio', 'ann')]);
    participants.forget();
    expect(participants.arrange([section('11', 'audio')], [on('11', 'audio', 'ann')])).toBe(true);
    expect([...participants.present].map(([id, stream]) => [id, ids(stream)])).toEqual([['ann', ['11']]]);
  });
});
