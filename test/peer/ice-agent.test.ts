import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { afterEach, expect, it } from 'vitest';
import { classes, Message, methods, parseMessage } from 'werift';
import { IceAgent } from '../../src/peer/ice-agent.ts';

const PASSWORD = 'the password of the server';
const CREDENTIALS = { usernameFragment: 'server', password: PASSWORD };

const open: { close(): unknown }[] = [];
afterEach(async () => {
  for (const each of open.splice(0)) await each.close();
});

/** A server that answers when it is told to, and an agent that asks it. */
const ask = async (): Promise<{ agent: IceAgent; server: Socket; candidates: string[] }> => {
  const server = createSocket('udp4');
  open.push(server);
  await new Promise<void>((resolve) => server.bind(0, '127.0.0.1', resolve));
  const candidates = [`1 1 udp 1 127.0.0.1 ${server.address().port} typ host`];
  const agent = new IceAgent();
  open.push(agent);
  agent.setRemote({ ...CREDENTIALS, candidates });
  return { agent, server, candidates };
};

const nextCheck = async (server: Socket): Promise<{ check: Message; from: RemoteInfo }> => {
  const [packet, from] = (await once(server, 'message')) as [Buffer, RemoteInfo];
  const check = parseMessage(packet, Buffer.from(PASSWORD));
  if (check === undefined) throw new Error('no check came in');
  return { check, from };
};

const answer = (server: Socket, { check, from }: { check: Message; from: RemoteInfo }): void => {
  const response = new Message(methods.BINDING, classes.RESPONSE, check.transactionId)
    .setAttribute('XOR-MAPPED-ADDRESS', [from.address, from.port])
    .addMessageIntegrity(Buffer.from(PASSWORD))
    .addFingerprint();
  server.send(response.bytes, from.port, from.address);
};

it('takes the answer to its first check when it has asked again meanwhile', async () => {
  const { agent, server } = await ask();
  const first = await nextCheck(server);
  const second = await nextCheck(server);
  expect(second.check.transactionId).toEqual(first.check.transactionId);
  answer(server, first);
  await agent.connected;
});

it('asks anew once it was answered, and for each restart', async () => {
  const { agent, server, candidates } = await ask();
  const first = await nextCheck(server);
  answer(server, first);
  const nominating = await nextCheck(server);
  expect(nominating.check.transactionId).not.toEqual(first.check.transactionId);
  expect(nominating.check.getAttributeValue('USE-CANDIDATE')).not.toBeUndefined();
  agent.setRemote({ usernameFragment: 'again', password: PASSWORD, candidates });
  const restarted = await nextCheck(server);
  expect(restarted.check.getAttributeValue('USERNAME')).toMatch(/^again:/);
  expect(restarted.check.transactionId).not.toEqual(nominating.check.transactionId);
});
