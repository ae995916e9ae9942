import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { frame, OPCODES, RawClient } from '../support/raw-client.ts';
import { allFree, hangUp, win } from '../support/scenario.ts';
import { TestServer } from '../support/server.ts';
import { TestSocket } from '../support/ws-client.ts';

let server: TestServer;
beforeAll(async () => {
  server = await TestServer.start({ config: { session: { grace_ms: 300 } } });
});
afterAll(() => server?.stop());

const candidate = (index: number) => ({
  type: 'candidate' as const,
  candidate: {
    candidate: `candidate:${index} 1 udp 2113937151 192.0.2.${index % 250} ${40_000 + index} typ srflx raddr 10.0.0.1 rport 5000 generation 0 ufrag abcd network-cost 999`,
    sdpMid: '0',
    sdpMLineIndex: 0,
    usernameFragment: 'abcd',
  },
});

const trickle = (socket: TestSocket): void => {
  for (let index = 0; index < 300; index++) socket.send(candidate(index));
  for (const end of ['', null, { candidate: '' }]) socket.send({ type: 'candidate', candidate: end });
};

describe('a client may trickle hundreds of candidates at once', () => {
  it('in a call', async () => {
    const socket = await win(server, await server.mint('ep_echo'));
    trickle(socket);
    socket.send({ type: 'restart_ice' });
    trickle(socket);
    await hangUp(socket);
  });

  it('while its start is looked at', async () => {
    const { token } = await server.mint('ep_echo');
    const socket = await TestSocket.open(server.wsUrl);
    socket.send({ type: 'start', endpoint_id: 'ep_echo', token });
    trickle(socket);
    await socket.expect('offer');
    await hangUp(socket);
  });
});

const text = (message: object) => frame(JSON.stringify(message));
const fragments = (text: string, pieces: number) =>
  Array.from({ length: pieces }, (_, i) =>
    frame(i === 0 ? text : '', { opcode: i === 0 ? OPCODES.text : OPCODES.continuation, fin: i === pieces - 1 }),
  );

describe.concurrent('a flood is rate_limited and not read any more:', () => {
  it.each<[what: string, frames: Buffer[]]>([
    ['pings', [frame('', { opcode: OPCODES.ping })]],
    ['pongs that nobody asked for', [frame('', { opcode: OPCODES.pong })]],
    ['candidates', [text(candidate(1))]],
    ['candidates in empty fragments', fragments(JSON.stringify({ type: 'candidate', candidate: null }), 256)],
    ['messages', [text({ type: 'media', media: {} })]],
  ])('%s', async (_, frames) => {
    const { token } = await server.mint('ep_echo');
    const client = await RawClient.upgrade(server.running.url);
    client.write(text({ type: 'start', endpoint_id: 'ep_echo', token }));
    await expect.poll(() => client.text, { timeout: 10_000 }).toContain('"type":"offer"');
    const taken = await client.flood(Buffer.concat(Array.from({ length: 2000 }, () => frames).flat()));
    expect(client.text.match(/"type":"error"/g)).toHaveLength(1);
    expect(client.text).toContain('"code":"rate_limited"');
    expect(client.text).toContain(Buffer.from([4429 >> 8, 4429 & 255]).toString('latin1'));
    // What the kernel holds, and no more: an open end took hundreds of megabytes.
    expect(taken).toBeLessThan(32 * 2 ** 20);
  });

  it('what comes after the refusal of a start', async ({ expect }) => {
    const client = await RawClient.upgrade(server.running.url);
    client.write(text({ type: 'hangup' }));
    await expect.poll(() => client.text, { timeout: 10_000 }).toContain('"code":"bad_message"');
    const pings = Array.from({ length: 2000 }, () => frame('', { opcode: OPCODES.ping }));
    expect(await client.flood(Buffer.concat(pings))).toBeLessThan(32 * 2 ** 20);
    expect(client.text.match(/"type":"error"/g)).toHaveLength(1);
  });
});

it('nothing of a flood is held', () => allFree(server));

it('pings are answered, and pongs without a ping are taken, as far as messages are', async () => {
  const client = await RawClient.upgrade(server.running.url);
  for (let i = 0; i < 8; i++) {
    client.write(frame(`ping ${i}`, { opcode: OPCODES.ping }));
    client.write(frame('', { opcode: OPCODES.pong }));
  }
  await expect.poll(() => client.text.match(/ping \d/g)).toHaveLength(8);
  expect(client.text).not.toContain('error');
  client.destroy();
  await client.closed;
});
