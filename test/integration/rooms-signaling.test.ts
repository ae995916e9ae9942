import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { newIdentity, writeAnswer } from '../../src/peer/sdp/answer.ts';
import { readOffer, values } from '../../src/peer/sdp/offer.ts';
import { Participant, type Tracks } from '../support/participant.ts';
import { allFree, answerNext, errorsOf, hangUp } from '../support/scenario.ts';
import { TestServer } from '../support/server.ts';
import { startCall } from '../support/ws-client.ts';

const ROOM = 'flow: flow_a, webrtc: true, target: { kind: room }, media: { audio: true, video: false }';
const names = ['ep_pair', 'ep_merge', 'ep_leave', 'ep_stuck', 'ep_viewer', 'ep_alone', 'ep_reject'];
let server: TestServer;

beforeAll(async () => {
  const endpoints = names.map((name) => `\n      - { id: ${name}, ${ROOM} }`).join('');
  server = await TestServer.start({ endpoints, config: { session: { reoffer_timeout_ms: 2000 } } });
});
afterAll(() => server?.stop());

const sees = (who: Participant, count: number) => expect.poll(() => who.others.length, { timeout: 15_000 }).toBe(count);
const hears = (who: Participant, mid: string) => {
  const before = who.client.receivedOn(mid);
  return expect.poll(() => who.client.receivedOn(mid), { timeout: 15_000 }).toBeGreaterThan(before + 3);
};
const directions = (sdp: string) => readOffer(sdp).sections.map(({ mid, direction }) => `${mid} ${direction}`);

describe('in a room', { timeout: 60_000 }, () => {
  it('whoever is alone is told so right after the first offer', async () => {
    const { token } = await server.mint('ep_alone');
    const socket = await startCall(server.wsUrl, { endpoint_id: 'ep_alone', token });
    const { sdp } = await socket.expect('offer');
    expect(directions(sdp)).toEqual(['0 recvonly']);
    expect(await socket.expect('tracks')).toEqual({ type: 'tracks', tracks: [] });
    await hangUp(socket);
  });

  it('both see and hear each other, and tracks precede the offer that has them', async () => {
    const one = await Participant.join(server, 'ep_pair');
    one.client.startSending();
    const two = await Participant.join(server, 'ep_pair');
    two.client.startSending();
    await Promise.all([sees(one, 1), sees(two, 1)]);
    for (const { socket, tracks, lastOffer } of [one, two]) {
      const [{ mid, kind, participant }, ...more] = tracks as [Tracks[number], ...Tracks];
      expect([kind, more]).toEqual(['audio', []]);
      const section = readOffer(lastOffer).sections.find((candidate) => candidate.mid === mid)!;
      expect(section.direction).toBe('sendonly');
      expect(values(section, 'msid')[0]?.split(' ')[0]).toBe(participant);
      expect(values(section, 'ssrc').some((value) => value.includes('cname:'))).toBe(true);
      const session = socket.messages[0]?.type === 'offer' ? socket.messages[0].session : undefined;
      expect(lastOffer).not.toContain(session!.id);
      expect(lastOffer).not.toContain(session!.ticket);
    }
    await Promise.all([hears(one, one.tracks[0]!.mid), hears(two, two.tracks[0]!.mid)]);
    const types = one.socket.messages.map(({ type }) => type).filter((type) => type !== 'live');
    expect(types).toEqual(['offer', 'tracks', 'tracks', 'offer']);
    await Promise.all([one.leave(), two.leave()]);
  });

  it('a leaver frees its section, and the next one gets it under the same mid', async () => {
    const stays = await Participant.join(server, 'ep_leave');
    const goes = await Participant.join(server, 'ep_leave');
    goes.client.startSending();
    await sees(stays, 1);
    const [gone] = stays.tracks;
    await goes.leave();
    await sees(stays, 0);
    await expect.poll(() => directions(stays.lastOffer)).toContain(`${gone!.mid} inactive`);
    const comes = await Participant.join(server, 'ep_leave');
    comes.client.startSending();
    await sees(stays, 1);
    expect(stays.tracks[0]).toMatchObject({ mid: gone!.mid, kind: 'audio' });
    expect(stays.tracks[0]!.participant).not.toBe(gone!.participant);
    expect(directions(stays.lastOffer)).toEqual(['0 recvonly', `${gone!.mid} sendonly`]);
    expect(stays.lastOffer).not.toMatch(/^m=\w+ 0 /m);
    await hears(stays, gone!.mid);
    await Promise.all([stays.leave(), comes.leave()]);
  });

  it('those who come while an offer is unanswered are all in the next one', async () => {
    const others = [await Participant.join(server, 'ep_merge')];
    others[0]!.client.startSending();
    const { token } = await server.mint('ep_merge');
    // Wait until the first is shown, so that the slow one's first offer has it.
    const probe = await Participant.join(server, 'ep_merge', { audio: 'recvonly' });
    await sees(probe, 1);
    const slow = await startCall(server.wsUrl, { endpoint_id: 'ep_merge', token });
    const first = await slow.expect('offer');
    expect((await slow.expect('tracks')).tracks).toHaveLength(1);
    for (let i = 0; i < 4; i++) {
      const other = await Participant.join(server, 'ep_merge');
      other.client.startSending();
      others.push(other);
    }
    await sees(probe, 5);
    const identity = newIdentity();
    expect(slow.messages).toHaveLength(2);
    slow.send({ type: 'answer', offer_id: first.offer_id, sdp: writeAnswer(first.sdp, { identity }) });
    expect((await slow.expect('tracks')).tracks).toHaveLength(5);
    const second = await answerNext(slow, identity);
    expect(readOffer(second).sections).toHaveLength(6);
    await hangUp(slow);
    await Promise.all([...others, probe].map((participant) => participant.leave()));
  });

  it('one that stops answering ends by itself and delays nobody', async () => {
    const [one, stuck] = [await Participant.join(server, 'ep_stuck'), await Participant.join(server, 'ep_stuck')];
    stuck.stopAnswering();
    one.client.startSending();
    const two = await Participant.join(server, 'ep_stuck');
    two.client.startSending();
    await Promise.all([sees(one, 1), sees(two, 1)]);
    await Promise.all([hears(one, one.tracks[0]!.mid), hears(two, two.tracks[0]!.mid)]);
    await stuck.socket.closing();
    expect(stuck.socket.messages.at(-1)).toEqual({ type: 'ended', reason: 'answer_timeout' });
    await stuck.client.close();
    await hears(one, one.tracks[0]!.mid);
    await Promise.all([one.leave(), two.leave()]);
  });

  it('a viewer sees the others and is not seen', async () => {
    const sender = await Participant.join(server, 'ep_viewer');
    sender.client.startSending();
    const viewer = await Participant.join(server, 'ep_viewer', { audio: 'recvonly' });
    viewer.client.startSending();
    await sees(viewer, 1);
    await hears(viewer, viewer.tracks[0]!.mid);
    expect(sender.offers).toBe(1);
    expect(sender.others).toEqual([]);
    await Promise.all([sender.leave(), viewer.leave()]);
  });

  it('a hostile answer ends that session alone', async () => {
    const [good, bad] = [await Participant.join(server, 'ep_reject'), await Participant.join(server, 'ep_reject')];
    good.client.startSending();
    await sees(bad, 1);
    bad.stopAnswering();
    bad.socket.send({ type: 'restart_ice' });
    await expect.poll(() => bad.offers, { timeout: 10_000 }).toBeGreaterThan(2);
    const offer = bad.socket.messages.findLast(({ type }) => type === 'offer');
    bad.socket.send({ type: 'answer', offer_id: offer?.type === 'offer' ? offer.offer_id : '', sdp: 'v=0' });
    expect((await bad.socket.closing()).code).toBe(4422);
    expect(errorsOf(bad.socket.messages)).toMatchObject([{ code: 'negotiation_failed' }]);
    await bad.client.close();
    const next = await Participant.join(server, 'ep_reject');
    await sees(next, 1);
    await Promise.all([good.leave(), next.leave()]);
  });
});

it('holds nothing in the end', () => allFree(server));
