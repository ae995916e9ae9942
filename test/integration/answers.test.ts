import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { newIdentity, writeAnswer } from '../../src/peer/sdp/answer.ts';
import { allFree, answerNext, errorsOf, hangUp } from '../support/scenario.ts';
import { TestServer } from '../support/server.ts';
import { startCall } from '../support/ws-client.ts';

let server: TestServer;
beforeAll(async () => {
  server = await TestServer.start({ config: { session: { grace_ms: 300 } } });
});
afterAll(() => server?.stop());

const offered = async (endpoint_id = 'ep_echo') => {
  const minted = await server.mint(endpoint_id);
  const socket = await startCall(server.wsUrl, { endpoint_id, token: minted.token });
  const offer = await socket.expect('offer');
  return { minted, socket, offer };
};

/** Only a settled negotiation answers this with an offer. */
const isSettled = async ({ socket, offer }: Awaited<ReturnType<typeof offered>>): Promise<void> => {
  socket.send({ type: 'restart_ice' });
  const next = await socket.expect('offer');
  expect(next.offer_id).not.toBe(offer.offer_id);
};

const sections = (sdp: string) => sdp.split(/(?=^m=)/m);
const FINGERPRINT = /^a=fingerprint:.*$/gm;
const other = () => `a=fingerprint:sha-256 ${newIdentity().fingerprint}`;
/** Changes the second occurrence only. */
const second = (sdp: string, pattern: RegExp, by: string) => {
  let seen = 0;
  return sdp.replace(pattern, (found) => (seen++ === 1 ? by : found));
};
const insert = (sdp: string, line: string, times = 1) => sdp + `${line}\r\n`.repeat(times);

describe('a hostile answer ends the session as negotiation_failed', () => {
  it.each<[what: string, make: (answer: string) => string]>([
    ['that is no SDP', () => 'hello'],
    ['that has no sections', (answer) => sections(answer)[0]!],
    ['that lacks a section', (answer) => sections(answer).slice(0, -1).join('')],
    ['that has one section more', (answer) => answer + sections(answer).at(-1)],
    ['that has a hundred sections more', (answer) => answer + 'm=audio 9 UDP/TLS/RTP/SAVPF 111\r\n'.repeat(100)],
    ['with its sections swapped', (answer) => [0, 2, 1].map((at) => sections(answer)[at]).join('')],
    ['with a changed mid', (answer) => answer.replace('a=mid:1', 'a=mid:7').replace('BUNDLE 0 1', 'BUNDLE 0 7')],
    ['with one mid twice', (answer) => answer.replace('a=mid:1', 'a=mid:0')],
    ['with a mid __proto__', (answer) => answer.replaceAll('a=mid:1', 'a=mid:__proto__')],
    ['with two fingerprints', (answer) => second(answer, FINGERPRINT, other())],
    ['with two fingerprints in one section', (answer) => insert(answer, other())],
    ['without a fingerprint', (answer) => answer.replace(FINGERPRINT, 'a=x-nothing')],
    ['with a short fingerprint', (answer) => answer.replace(FINGERPRINT, 'a=fingerprint:sha-256 AA:BB')],
    ['with a sha-1 fingerprint alone', (answer) => answer.replaceAll('fingerprint:sha-256', 'fingerprint:sha-1')],
    ['that leaves the DTLS role open', (answer) => answer.replace(/a=setup:\w+/g, 'a=setup:actpass')],
    ['with two DTLS roles', (answer) => second(answer, /a=setup:\w+/g, 'a=setup:passive')],
    ['without rtcp-mux', (answer) => answer.replaceAll('a=rtcp-mux\r\n', '')],
    ['that rejects everything', (answer) => answer.replace(/^(m=\w+) 9/gm, '$1 0')],
    ['that does not bundle', (answer) => answer.replace(/a=group:BUNDLE.*\r\n/, '')],
    ['with a payload type of its own', (answer) => answer.replace(/^(m=audio .*SAVPF).*$/m, '$1 77')],
    ['that maps Opus to PCMU', (answer) => answer.replace(/opus\/48000\/2/i, 'PCMU/8000')],
    ['with RIDs that were not offered', (answer) => insert(answer, 'a=rid:x send\r\na=simulcast:send x')],
    ['with an SSRC of 0', (answer) => answer.replace(/a=ssrc:\d+/g, 'a=ssrc:0').replace(/FID \d+ \d+/, 'FID 0 0')],
    ['with an SSRC of 33 bits', (answer) => answer.replace(/a=ssrc:\d+/g, 'a=ssrc:8589934592')],
    ['of 10,000 lines', (answer) => insert(answer, 'a=x', 10_000)],
    ['of 10,000 lines that end with LF', (answer) => answer + 'a\n'.repeat(10_000)],
    ['of 2,001 short lines', (answer) => answer + 'a\n'.repeat(2001)],
    ['of 10,000 lines that end with CR', (answer) => answer + 'a\r'.repeat(10_000)],
    ['of 21 KiB for two sections', (answer) => insert(answer, `a=x-pad:${'x'.repeat(21 * 1024 - answer.length)}`)],
    ['of 300 KiB', (answer) => insert(answer, `a=x-pad:${'x'.repeat(300 * 1024)}`)],
  ])('%s', async (_, make) => {
    const { minted, socket, offer } = await offered();
    const sdp = make(writeAnswer(offer.sdp, { identity: newIdentity({ setup: 'active' }) }));
    socket.send({ type: 'answer', offer_id: offer.offer_id, sdp });
    const error = await socket.expect('error');
    // Whatever comes after it, the first error is the only one.
    socket.sendRaw('junk');
    expect(error).toMatchObject({ code: 'negotiation_failed', retryable: false });
    expect(await socket.expect('ended')).toEqual({ type: 'ended', reason: 'negotiation_failed' });
    expect((await socket.closing()).code).toBe(4422);
    expect(socket.messages).toHaveLength(3);
    expect(await server.read(minted.id)).toMatchObject({
      status: 'completed',
      session: { end_reason: 'negotiation_failed' },
    });
  });

  it('that has a direction which was not offered', async () => {
    const { token } = await server.mint('ep_room');
    const socket = await startCall(server.wsUrl, { endpoint_id: 'ep_room', token });
    const { offer_id, sdp } = await socket.expect('offer');
    await socket.expect('tracks');
    socket.send({ type: 'answer', offer_id, sdp: writeAnswer(sdp).replaceAll('a=sendonly', 'a=sendrecv') });
    expect(await socket.expect('error')).toMatchObject({ code: 'negotiation_failed' });
    expect((await socket.closing()).code).toBe(4422);
  });

  it('that comes later, with another certificate', async () => {
    const identity = newIdentity();
    const { token } = await server.mint('ep_echo');
    const socket = await startCall(server.wsUrl, { endpoint_id: 'ep_echo', token });
    await answerNext(socket, identity);
    socket.send({ type: 'restart_ice' });
    await answerNext(socket, { ...identity, fingerprint: newIdentity().fingerprint });
    expect(await socket.expect('error')).toMatchObject({ code: 'negotiation_failed' });
    expect(await socket.expect('ended')).toMatchObject({ reason: 'negotiation_failed' });
    expect((await socket.closing()).code).toBe(4422);
  });

  it('and nothing of any of them is left', () => allFree(server));
});

describe('an answer is taken', () => {
  it('that comes later, whatever DTLS role it says', async () => {
    const call = await offered();
    const { socket } = call;
    const identity = newIdentity({ setup: 'passive' });
    socket.send({ type: 'answer', offer_id: call.offer.offer_id, sdp: writeAnswer(call.offer.sdp, { identity }) });
    socket.send({ type: 'restart_ice' });
    const offer = await socket.expect('offer');
    const sdp = second(writeAnswer(offer.sdp, { identity }), /a=setup:\w+/g, 'a=setup:active');
    socket.send({ type: 'answer', offer_id: offer.offer_id, sdp });
    await isSettled({ ...call, offer });
    await hangUp(socket);
  });

  it('of 19 KiB for two sections', async () => {
    const call = await offered();
    const { offer, socket } = call;
    const answer = writeAnswer(offer.sdp);
    const sdp = insert(answer, `a=x-pad:${'x'.repeat(19 * 1024 - answer.length)}`);
    socket.send({ type: 'answer', offer_id: offer.offer_id, sdp });
    await isSettled(call);
    await hangUp(socket);
  });

  it('of that size whichever order its fields have', async () => {
    const call = await offered();
    const { offer, socket } = call;
    const answer = writeAnswer(offer.sdp);
    const sdp = insert(answer, `a=x-pad:${'x'.repeat(18 * 1024 - answer.length)}`);
    socket.sendRaw(JSON.stringify({ offer_id: offer.offer_id, sdp, type: 'answer' }));
    await isSettled(call);
    await hangUp(socket);
  });

  it('with formats of its own beside ours, and Opus without its channels', async () => {
    const call = await offered();
    const { offer, socket } = call;
    const sdp = writeAnswer(offer.sdp)
      .replace(/^(m=audio \d+ \S+) (.*)$/m, '$1 126 13 $2 77')
      .replace('a=rtpmap:', 'a=rtpmap:126 telephone-event/8000\r\na=fmtp:126 0-16\r\na=rtpmap:13 CN/8000\r\na=rtpmap:')
      .replace(/opus\/48000\/2/i, 'OPUS/48000');
    socket.send({ type: 'answer', offer_id: offer.offer_id, sdp });
    await isSettled(call);
    await hangUp(socket);
  });

  it('with lines that end with LF, and with one kind rejected', async () => {
    const call = await offered();
    const { offer, socket } = call;
    const sdp = writeAnswer(offer.sdp, { kinds: ['audio'] }).replaceAll('\r\n', '\n');
    socket.send({ type: 'answer', offer_id: offer.offer_id, sdp });
    await isSettled(call);
    await hangUp(socket);
  });

  it('once: the same again is dropped', async () => {
    const call = await offered();
    const { offer, socket } = call;
    const sdp = writeAnswer(offer.sdp);
    for (let i = 0; i < 3; i++) socket.send({ type: 'answer', offer_id: offer.offer_id, sdp });
    await isSettled(call);
    socket.send({ type: 'answer', offer_id: offer.offer_id, sdp: 'stale, and never looked at' });
    await hangUp(socket);
    expect(errorsOf(socket.messages)).toEqual([]);
  });

  it('after stale ones, which are dropped unparsed', async () => {
    const call = await offered();
    const { offer, socket } = call;
    for (const offer_id of ['0', '2', '-1', '__proto__', 'x'.repeat(128)]) {
      socket.send({ type: 'answer', offer_id, sdp: 'v=1, and no more' });
    }
    socket.send({ type: 'answer', offer_id: offer.offer_id, sdp: writeAnswer(offer.sdp) });
    await isSettled(call);
    await hangUp(socket);
  });

  it('not before its offer was sent, whoever guesses the id', async () => {
    const { token } = await server.mint('ep_echo');
    const socket = await startCall(server.wsUrl, { endpoint_id: 'ep_echo', token });
    socket.send({ type: 'answer', offer_id: '1', sdp: 'v=0' });
    const offer = await socket.expect('offer');
    socket.send({ type: 'answer', offer_id: offer.offer_id, sdp: writeAnswer(offer.sdp) });
    socket.send({ type: 'restart_ice' });
    await socket.expect('offer');
    await hangUp(socket);
  });
});

it.each([
  ['a large frame that is no answer', `{"type":"media","media":{}${' '.repeat(17 * 1024)}}`],
  ['a candidate with unknown fields', '{"type":"candidate","candidate":{"candidate":"","foundation":1}}'],
  ['a candidate that is too long', JSON.stringify({ type: 'candidate', candidate: 'x'.repeat(1025) })],
  ['an answer without an id', '{"type":"answer","sdp":"v=0"}'],
  ['an answer whose id is a number', '{"type":"answer","offer_id":1,"sdp":"v=0"}'],
  ['a resume', '{"type":"resume","session_id":"x","ticket":"x"}'],
])('%s in a call is bad_message, and the socket is lost', async (_, text) => {
  const { minted, socket } = await offered();
  socket.sendRaw(text);
  expect(await socket.expect('error')).toMatchObject({ code: 'bad_message', retryable: false });
  expect((await socket.closing()).code).toBe(4400);
  expect(socket.messages).toHaveLength(2);
  await expect.poll(async () => (await server.read(minted.id)).session?.end_reason).toBe('client_lost');
});

it('holds nothing in the end', () => allFree(server));
