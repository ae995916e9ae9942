import { createRemoteJWKSet, decodeJwt, jwtVerify } from 'jose';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Source } from '../../src/peer/frames.ts';
import { RtcPeer } from '../../src/peer/rtc-peer.ts';
import { type TakenCall, TestApplication } from '../support/application.ts';
import { allFree } from '../support/scenario.ts';
import { TestServer } from '../support/server.ts';
import { resumeCall, startCall, type TestSocket } from '../support/ws-client.ts';

let application: TestApplication;
let server: TestServer;
const open: { socket: TestSocket; peer?: RtcPeer }[] = [];

beforeAll(async () => {
  application = await TestApplication.start();
  const target = `kind: stream, url: "${application.url}", format: media-streams`;
  const endpoint = (id: string, more: string) =>
    `\n      - { id: ${id}, flow: flow_a, webrtc: true, target: { ${target}, ${more} } }`;
  server = await TestServer.start({
    endpoints:
      endpoint('ep_agent', 'connect_seconds: 10, reconnect_seconds: 15') +
      endpoint('ep_hasty', 'connect_seconds: 1, reconnect_seconds: 1'),
  });
});
beforeEach(() => {
  application.status = 101;
  application.onCall = () => {};
  application.calls.splice(0);
  application.tries = [];
});
afterEach(async () => {
  for (const { socket, peer } of open.splice(0)) {
    socket.send({ type: 'hangup' });
    await socket.closed;
    await peer?.close();
  }
  await allFree(server);
});
afterAll(async () => {
  await server.stop();
  await application.stop();
});

/** Counts from 1 to 200, one number for each frame; every tenth is not sent. */
const counting: Source = {
  frames: Array.from({ length: 200 }, (_, i) => ({
    payloads: (i + 1) % 10 === 0 ? [] : [Buffer.alloc(160, i + 1)],
    key: true,
  })),
  ticks: 1,
  timestampStep: 160,
  marked: false,
};

/** The first bytes of so many frames, silence where nothing was sent. */
const countedFrom = (first: number, frames: number): number[] =>
  Array.from({ length: frames }, (_, i) => ((first + i) % 10 === 0 ? 0xff : first + i));

interface Caller {
  socket: TestSocket;
  peer: RtcPeer;
  /** Payloads that came, and when. */
  heard: { payload: Buffer; packet: Buffer; at: number }[];
  sessionId: string;
  ticket: string;
}

const dial = async (endpointId = 'ep_agent', metadata?: Record<string, string>) => {
  const minted = await server.mint(endpointId, metadata && { metadata });
  const socket = await startCall(server.wsUrl, { endpoint_id: endpointId, token: minted.token }, { timeoutMs: 20_000 });
  open.push({ socket });
  return { socket, ...minted };
};

const call = async (endpointId?: string, metadata?: Record<string, string>): Promise<Caller> => {
  const { socket } = await dial(endpointId, metadata);
  const { offer_id, sdp, session } = await socket.expect('offer');
  const peer = await RtcPeer.create({ kinds: ['audio'], sources: { PCMU: counting } });
  open.at(-1)!.peer = peer;
  const heard: Caller['heard'] = [];
  peer.onPacket = (_, packet, payload) => heard.push({ payload, packet, at: performance.now() });
  socket.send({ type: 'answer', offer_id, sdp: await peer.answer(sdp) });
  await socket.skipTo('live');
  return { socket, peer, heard, sessionId: session.id, ticket: session.ticket };
};

const taken = async (index = 0): Promise<TakenCall> => {
  await expect.poll(() => application.calls[index]?.of('start').length, { timeout: 10_000 }).toBe(1);
  return application.calls[index]!;
};

describe('a call that an application answers', () => {
  it('says who calls: connected, start with the metadata, then media, with counters that are strings', async () => {
    const { peer, sessionId } = await call('ep_agent', { customer: '42', event: 'mine' });
    const agent = await taken();
    peer.startSending();
    await expect.poll(() => agent.of('media').length, { timeout: 10_000 }).toBeGreaterThan(20);
    expect(agent.frames[0]).toEqual({ event: 'connected', protocol: 'Call', version: '1.0.0' });
    const streamSid = agent.streamSid;
    expect(streamSid).toMatch(/^MZ[0-9a-f]{32}$/);
    expect(agent.frames[1]).toEqual({
      event: 'start',
      sequenceNumber: '1',
      streamSid,
      start: {
        accountSid: 'team_a',
        streamSid,
        callSid: sessionId,
        tracks: ['inbound'],
        mediaFormat: { encoding: 'audio/x-mulaw', sampleRate: 8000, channels: 1 },
        customParameters: { customer: '42', event: 'mine' },
      },
    });
    agent.of('media').forEach(({ sequenceNumber, media, ...frame }, i) => {
      expect(frame).toEqual({ event: 'media', streamSid });
      expect(sequenceNumber).toBe(String(i + 2));
      expect(media).toMatchObject({ track: 'inbound', chunk: String(i + 1), timestamp: String(i * 20) });
      expect(Buffer.from(media!.payload, 'base64')).toHaveLength(160);
    });
  });

  it('brings what the client says, and silence where it said nothing', async () => {
    const { peer } = await call();
    const agent = await taken();
    peer.startSending();
    await expect.poll(() => agent.of('media').length, { timeout: 10_000 }).toBeGreaterThan(40);
    const values = agent.of('media').map(({ media }) => Buffer.from(media!.payload, 'base64')[0]!);
    expect(values.slice(0, 40)).toEqual(countedFrom(values[0]!, 40));
  });

  it('plays what the application says in time, at 20 ms, and brings marks back when it was played', async () => {
    application.onCall = (agent) => {
      setTimeout(() => {
        for (let i = 1; i <= 25; i++) agent.say(Buffer.alloc(160, i));
        agent.mark('greeted');
      }, 50);
    };
    const { heard } = await call();
    const agent = await taken();
    await expect.poll(() => agent.of('mark').length, { timeout: 5000 }).toBe(1);
    expect(agent.of('mark')[0]!.mark).toEqual({ name: 'greeted' });
    const values = heard.map(({ payload }) => payload[0]!);
    // A client may miss the first ones until it has the keys.
    expect(values).toEqual(Array.from({ length: values.length }, (_, i) => 26 - values.length + i));
    const [first] = heard;
    const played = heard.map(({ packet }) => (packet.readUInt32BE(4) - first!.packet.readUInt32BE(4)) >>> 0);
    expect(played).toEqual(played.map((_, i) => i * 160));
    expect(heard.at(-1)!.at - first!.at).toBeGreaterThan(300);
  });

  it('is interrupted within one packet, and its marks come back', async () => {
    const { heard } = await call();
    const agent = await taken();
    agent.say(Buffer.alloc(160 * 500, 1));
    agent.mark('a');
    agent.mark('b');
    await expect.poll(() => heard.length, { timeout: 5000 }).toBeGreaterThan(5);
    agent.clear();
    await expect.poll(() => agent.of('mark').map(({ mark }) => mark!.name), { timeout: 5000 }).toEqual(['a', 'b']);
    await new Promise((resolve) => setTimeout(resolve, 60));
    const before = heard.length;
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(heard).toHaveLength(before);
  });

  it('gives back what the application heard', async () => {
    application.onCall = (agent) =>
      agent.socket.on('message', (text) => {
        const { event, media } = JSON.parse(String(text));
        if (event === 'media') agent.say(Buffer.from(media.payload, 'base64'));
      });
    const { peer, heard } = await call();
    peer.startSending();
    await expect.poll(() => heard.length, { timeout: 10_000 }).toBeGreaterThan(30);
    const values = heard.map(({ payload }) => payload[0]!);
    expect(values.slice(0, 30)).toEqual(countedFrom(values[0]!, 30));
  });

  it('passes on keys and messages, both ways and in order', async () => {
    const { socket } = await call();
    const agent = await taken();
    socket.send({ type: 'dtmf', digits: '1#' });
    socket.send({ type: 'message', content: { text: 'hello' } });
    await expect.poll(() => agent.of('message').length, { timeout: 5000 }).toBe(1);
    expect(agent.of('dtmf').map(({ dtmf }) => dtmf)).toEqual([
      { track: 'inbound_track', digit: '1' },
      { track: 'inbound_track', digit: '#' },
    ]);
    expect(agent.of('message')[0]).toEqual({
      event: 'message',
      streamSid: agent.streamSid,
      message: { content: { text: 'hello' } },
    });
    agent.send({ event: 'message', message: { content: ['caption'] } });
    expect(await socket.skipTo('message')).toEqual({ type: 'message', content: ['caption'] });
  });

  it('ends when the application hangs up, with 1000 or with no code', async () => {
    for (const code of [1000, undefined]) {
      const { socket, peer } = await call();
      (await taken(application.calls.length > 1 ? 1 : 0)).socket.close(code);
      expect(await socket.skipTo('ended')).toEqual({ type: 'ended', reason: 'completed' });
      await peer.close();
    }
  });

  it('tells the application when the client hangs up', async () => {
    const { socket, sessionId } = await call();
    const agent = await taken();
    socket.send({ type: 'hangup' });
    await expect.poll(() => agent.closedWith, { timeout: 5000 }).toBe(1000);
    expect(agent.frames.at(-1)).toMatchObject({ event: 'stop', stop: { accountSid: 'team_a', callSid: sessionId } });
  });

  it('goes on with the application where only the client was lost', async () => {
    const { socket, peer, sessionId, ticket } = await call();
    const agent = await taken();
    peer.startSending();
    await socket.cut();
    const again = await resumeCall(server.wsUrl, { session_id: sessionId, ticket }, { timeoutMs: 20_000 });
    open.at(-1)!.socket = again;
    expect((await again.expect('resumed')).session.id).toBe(sessionId);
    expect(await again.expect('application')).toEqual({ type: 'application', state: 'connected' });
    const before = agent.of('media').length;
    await expect.poll(() => agent.of('media').length, { timeout: 5000 }).toBeGreaterThan(before);
    expect([application.calls.length, agent.closedWith]).toEqual([1, undefined]);
  });

  it('is offered sound alone, PCMU first', async () => {
    const { socket } = await dial();
    const { sdp } = await socket.expect('offer');
    expect(sdp.match(/^m=.*$/gm)!.map((line) => line.trim())).toEqual([
      expect.stringMatching(/^m=audio 9 UDP\/TLS\/RTP\/SAVPF 0 8 \d+$/),
    ]);
  });
});

describe('an application', () => {
  it('can check who calls: a fresh token for each try, for its address alone', async () => {
    application.status = 503;
    const { socket, id } = await dial();
    const { session } = await socket.expect('offer');
    await expect.poll(() => application.tries.length, { timeout: 5000 }).toBeGreaterThan(1);
    application.status = 101;
    const agent = await taken();
    const keys = createRemoteJWKSet(new URL(`${server.running.url}/.well-known/jwks.json`));
    const { payload, protectedHeader } = await jwtVerify(agent.token, keys, {
      issuer: 'callgate',
      audience: application.url,
      typ: 'application+jwt',
    });
    expect(protectedHeader.alg).toBe('EdDSA');
    expect(payload).toMatchObject({ sub: 'ep_agent', team: 'team_a', session_id: session.id });
    expect(payload.exp! - payload.iat!).toBe(60);
    const ids = application.tries.map(({ headers }) => decodeJwt(headers.authorization!.slice(7)).jti);
    expect(new Set(ids).size).toBe(ids.length);
    expect(id).toMatch(/^ct_/);
  });

  it('that is away for a moment keeps its caller, who is told', async () => {
    const { socket, peer } = await call();
    const agent = await taken();
    peer.startSending();
    application.status = 503;
    agent.socket.terminate();
    // What it was before the offer is not told.
    const states = async () =>
      socket.messages.flatMap((message) => (message.type === 'application' ? message.state : [])).slice(-3);
    await expect.poll(states, { timeout: 5000 }).toEqual(expect.arrayContaining(['reconnecting']));
    application.status = 101;
    const again = await taken(1);
    await expect.poll(states, { timeout: 5000 }).toEqual(['connected', 'reconnecting', 'connected']);
    expect(again.streamSid).not.toBe(agent.streamSid);
    await expect.poll(() => again.of('media').length, { timeout: 5000 }).toBeGreaterThan(3);
    expect(again.of('media')[0]!.media).toMatchObject({ chunk: '1', timestamp: '0' });
  });

  it.each([
    ['is not there in time', 503],
    ['hangs', 0],
  ])('that %s ends the call', async (_, status) => {
    application.status = status;
    const { socket } = await dial('ep_hasty');
    expect(await socket.skipTo('ended')).toEqual({ type: 'ended', reason: 'application_unavailable' });
  });

  it('that refuses is not asked again', async () => {
    application.status = 403;
    const { socket } = await dial();
    expect(await socket.skipTo('ended')).toEqual({ type: 'ended', reason: 'application_unavailable' });
    expect(application.tries).toHaveLength(1);
  });

  it('that is lost for good ends the call', async () => {
    const { socket } = await call('ep_hasty');
    const agent = await taken();
    application.status = 503;
    agent.socket.terminate();
    expect(await socket.skipTo('ended')).toEqual({ type: 'ended', reason: 'application_lost' });
  });

  it.each([
    ['no JSON', 'hello'],
    ['no event', '{}'],
    ['an event without what belongs to it', '{"event":"media"}'],
    ['a payload that is not base64', '{"event":"media","media":{"payload":"%"}}'],
    ['a binary frame', Buffer.of(1)],
  ])('that sends %s is connected to again', async (_, rubbish) => {
    await call();
    const agent = await taken();
    agent.socket.send(rubbish);
    await expect.poll(() => agent.closedWith, { timeout: 5000 }).toBe(1003);
    await taken(1);
  });

  it('may say what means nothing here', async () => {
    const { socket } = await call();
    const agent = await taken();
    agent.send({ event: 'weather', sunny: true });
    agent.mark('after');
    await expect.poll(() => agent.of('mark').length, { timeout: 5000 }).toBe(1);
    expect(agent.closedWith).toBeUndefined();
    expect(socket.messages.filter(({ type }) => type === 'error')).toEqual([]);
  });
});

describe('the hang-up that voice agents know', () => {
  const post = (
    sessionId: string,
    { team = 'team_a', key = server.apiKey, body = 'Status=completed', headers = {} } = {},
  ) =>
    fetch(`${server.running.url}/2010-04-01/Accounts/${team}/Calls/${sessionId}.json`, {
      method: 'POST',
      headers: {
        authorization: `Basic ${Buffer.from(`team_a:${key}`).toString('base64')}`,
        'content-type': 'application/x-www-form-urlencoded',
        ...headers,
      },
      body,
    });

  it('ends the call, and then there is none', async () => {
    const { socket, sessionId } = await call();
    const answer = await post(sessionId);
    expect([answer.status, await answer.json()]).toEqual([
      200,
      { sid: sessionId, account_sid: 'team_a', status: 'completed' },
    ]);
    expect(await socket.skipTo('ended')).toEqual({ type: 'ended', reason: 'completed' });
    const again = await post(sessionId);
    expect([again.status, await again.json()]).toMatchObject([404, { code: 20_404, status: 404 }]);
  });

  it('is refused to others', async () => {
    const { sessionId } = await call();
    expect((await post(sessionId, { key: 'cgk_backend_wrong' })).status).toBe(401);
    expect((await post(sessionId, { team: 'team_b' })).status).toBe(404);
    expect((await post(sessionId, { headers: { origin: 'https://app.example' } })).status).toBe(403);
    expect((await post(sessionId, { body: 'Status=busy' })).status).toBe(400);
    expect((await post('sess_unknown')).status).toBe(404);
  });
});
