import { request } from 'node:http';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SUBPROTOCOL } from '../../src/protocol/codes.ts';
import { allFree, errorsOf, hangUp, refusalOf, win } from '../support/scenario.ts';
import { TestServer } from '../support/server.ts';
import { earlyStart, startCall, TestSocket } from '../support/ws-client.ts';

let server: TestServer;

beforeAll(async () => {
  server = await TestServer.start({ config: { session: { grace_ms: 300 } } });
});
afterAll(() => server?.stop());

const early = (text: string) => `callgate.start.${Buffer.from(text).toString('base64url')}`;
const open = (...protocols: string[]) => TestSocket.open(server.wsUrl, { protocols });

/** The response headers of an upgrade, as they are on the wire. */
const upgradeHeaders = (protocols: string): Promise<NodeJS.Dict<string | string[]>> => {
  const { promise, resolve, reject } = Promise.withResolvers<NodeJS.Dict<string | string[]>>();
  const headers = {
    connection: 'Upgrade',
    upgrade: 'websocket',
    'sec-websocket-version': '13',
    'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
    'sec-websocket-protocol': protocols,
  };
  const upgrade = request(`${server.running.url}/v1/connect`, { headers });
  upgrade.once('upgrade', (response, socket) => {
    socket.destroy();
    resolve(response.headers);
  });
  upgrade.once('error', reject).end();
  return promise;
};

describe('an early start', () => {
  it('makes the offer the first frame, under callgate.v1', async () => {
    const minted = await server.mint('ep_echo');
    const socket = await startCall(server.wsUrl, { endpoint_id: 'ep_echo', token: minted.token }, { early: true });
    expect(socket.protocol).toBe('callgate.v1');
    await socket.expect('offer');
    await hangUp(socket);
    expect((await server.read(minted.id)).status).toBe('completed');
  });

  it('works from whichever place in the list, and never comes back in a header', async () => {
    const minted = await server.mint('ep_echo');
    const protocol = earlyStart({ type: 'start', endpoint_id: 'ep_echo', token: minted.token });
    const headers = await upgradeHeaders(`${protocol}, ${SUBPROTOCOL}`);
    expect(headers['sec-websocket-protocol']).toBe(SUBPROTOCOL);
    expect(JSON.stringify(headers)).not.toContain(protocol);
    const next = await server.mint('ep_echo');
    const socket = await open(earlyStart({ type: 'start', endpoint_id: 'ep_echo', token: next.token }), SUBPROTOCOL);
    expect(socket.protocol).toBe('callgate.v1');
    await socket.expect('offer');
    await hangUp(socket);
  });

  it('without callgate.v1 beside it is bad_message and spends nothing', async () => {
    const minted = await server.mint('ep_echo');
    const only = earlyStart({ type: 'start', endpoint_id: 'ep_echo', token: minted.token });
    // ws, as browsers do, gives up on a server that selects none; the server must not select the start.
    const headers = await upgradeHeaders(only);
    expect(headers['sec-websocket-protocol']).toBeUndefined();
    await hangUp(await win(server, minted));
  });

  it.each([
    ['is not base64url', 'callgate.start.***'],
    ['is empty', 'callgate.start.'],
    ['is not JSON', early('start')],
    ['is not UTF-8', `callgate.start.${Buffer.from([0x7b, 0xff, 0xfe, 0x7d]).toString('base64url')}`],
    ['is no start', early('{"type":"hangup"}')],
    ['has an unknown type', early('{"type":"begin"}')],
    ['lacks the token', early('{"type":"start","endpoint_id":"ep_echo"}')],
  ])('that %s is bad_message', async (_, protocol) => {
    const socket = await open(SUBPROTOCOL, protocol);
    expect(await refusalOf(socket)).toEqual({ code: 'bad_message', retryable: false, close: 4400 });
  });

  it('of which there are two is bad_message and spends neither token', async () => {
    const [one, two] = [await server.mint('ep_echo'), await server.mint('ep_echo')];
    const protocols = [one, two].map(({ token }) => earlyStart({ type: 'start', endpoint_id: 'ep_echo', token }));
    expect((await refusalOf(await open(SUBPROTOCOL, ...protocols))).code).toBe('bad_message');
    await hangUp(await win(server, one));
    await hangUp(await win(server, two));
  });

  it('followed by a start frame is bad_message and ends the socket', async () => {
    const minted = await server.mint('ep_echo');
    const socket = await startCall(server.wsUrl, { endpoint_id: 'ep_echo', token: minted.token }, { early: true });
    await socket.expect('offer');
    socket.send({ type: 'start', endpoint_id: 'ep_echo', token: minted.token });
    expect(await socket.expect('error')).toMatchObject({ code: 'bad_message', retryable: false });
    expect((await socket.closing()).code).toBe(4400);
    await expect.poll(async () => (await server.read(minted.id)).session?.end_reason).toBe('client_lost');
  });

  it('with a hang-up right behind it ends as completed', async () => {
    const minted = await server.mint('ep_echo');
    const socket = await startCall(server.wsUrl, { endpoint_id: 'ep_echo', token: minted.token }, { early: true });
    await hangUp(socket);
    expect(errorsOf(socket.messages)).toEqual([]);
    expect((await server.read(minted.id)).session?.end_reason).toBe('completed');
  });

  it('that is too large for a header is refused as HTTP', async () => {
    const large = early(JSON.stringify({ type: 'start', endpoint_id: 'ep_echo', token: 'x'.repeat(15_000) }));
    await expect(open(SUBPROTOCOL, large)).rejects.toThrow('431');
  });

  it('wins once, however many present the token at the same time', async () => {
    const { token } = await server.mint('ep_echo');
    const start = { endpoint_id: 'ep_echo', token };
    const ways = Array.from({ length: 20 }, (_, i) => startCall(server.wsUrl, start, { early: i % 2 === 0 }));
    const sockets = await Promise.all(ways);
    const firsts = await Promise.all(sockets.map((socket) => socket.next()));
    expect(firsts.filter(({ type }) => type === 'offer')).toHaveLength(1);
    expect(firsts.filter((first) => first.type === 'error' && first.code === 'token_used')).toHaveLength(19);
    await hangUp(sockets[firsts.findIndex(({ type }) => type === 'offer')]!);
  });
});

it('holds nothing in the end', () => allFree(server));
