import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Participant } from '../support/participant.ts';
import { TestRedis } from '../support/redis.ts';
import { RtcClient } from '../support/rtc-client.ts';
import { TestServer } from '../support/server.ts';
import { startCall, type TestSocket } from '../support/ws-client.ts';

/**
 * What goes over the wire, compared with the recording beside this file: a change of the code's structure must not change
 * it. After a change that is meant, record again with `vitest run -u` and read the difference.
 */
let redis: TestRedis;
let server: TestServer;
let reader: Redis;
let monitor: Redis;
const commands: string[] = [];

const ENDPOINTS = `
      - { id: ep_echo, flow: flow_a, webrtc: true, target: { kind: echo } }
      - { id: ep_room, flow: flow_a, webrtc: true, target: { kind: room }, media: { audio: true, video: false } }`;

beforeAll(async () => {
  redis = await TestRedis.start();
  server = await TestServer.start({ redisUrl: redis.url, endpoints: ENDPOINTS });
  reader = new Redis(redis.url);
  monitor = await reader.monitor();
  monitor.on('monitor', (_time: string, args: string[], source: string) => {
    if (source !== 'lua') commands.push(masked(withoutScript(args).join(' ')));
  });
});
afterAll(async () => {
  monitor?.disconnect();
  reader?.disconnect();
  await server?.stop();
  await redis?.stop();
});

/** Values that differ from run to run, by what they are. */
const MASKS: [RegExp, string][] = [
  [/eyJ[\w-]+\.[\w-]+\.[\w-]+/g, '<jwt>'],
  [/ct_\w+/g, '<token id>'],
  [/\{[0-9a-f]{8,}\}/g, '{<family>}'],
  [/sess_\w+/g, '<session id>'],
  [/(?<= )_[0-9a-f]{16}\b/g, '<session>'],
  [/\bn_[a-z2-7]{8}( \d+)? [\w-]{43}(?!\S)/g, '<node>$1 <ticket hash>'],
  [/\bn_[a-z2-7]{8}\b/g, '<node>'],
  [/p_[\w-]{12}/g, '<participant>'],
  [/\d{4}-\d\d-\d\dT[\d:.]+Z/g, '<time>'],
  [/[0-9A-F]{2}(:[0-9A-F]{2}){31}/g, '<fingerprint>'],
  [/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]{22}/g, '<uuid>'],
  // One for each address of the machine.
  [/(a=candidate:.*\s+)+/g, 'a=candidate:<candidates>\n    '],
  [/(a=ice-(ufrag|pwd)):\S+/g, '$1:<secret>'],
  [/ws:\/\/127\.0\.0\.1:\d+/g, 'ws://<host>'],
  [/(a=(?:ssrc|ssrc-group:FID)[: ])[\d ]+/g, '$1<ssrc> '],
  [/"(expires_in_ms|ticket|request_id)":("[^"]*"|\d+)/g, '"$1":"<$1>"'],
  [/\b[0-9a-f]{40}\b/g, '<hash>'],
  [/\b[0-9a-f]{32}\b/g, '<id>'],
  [/\b1\d{12,15}\b/g, '<ms>'],
  [/\b1\d{9}\b/g, '<s>'],
  [/\b127\.0\.0\.1(:\d+)?\b/g, '<address>'],
  [/\{idempotency:[\w-]+\}( [\w-]{43})?/g, '{idempotency:<key>}'],
];
const masked = (text: string): string =>
  MASKS.reduce((masking, [pattern, mask]) => masking.replace(pattern, mask), text);

const framesOf = (name: string, { messages }: TestSocket): string[] =>
  messages.map((message) => `${name} ${masked(JSON.stringify(message).replaceAll('\\r\\n', '\n    '))}`);

/** A script is sent whole once and by its hash from then on. */
const withoutScript = ([command = '', ...args]: string[]): string[] =>
  /^eval(sha)?$/i.test(command) ? ['script', ...args.slice(1)] : [command, ...args];

/**
 * What Redis was asked for since the last call, each form once: commands of one moment overtake each other, and rounds of
 * upkeep come when they come. Audit events travel in batches of any size, so that they are read from the stream.
 */
const asked = async (): Promise<string[]> => {
  await expect.poll(() => server.running.held().sessions).toBe(0);
  // What the last end has set off is on its way.
  await sleep(300);
  const other =
    /^(info|ping|client|hello|select|script load|subscribe|psubscribe|config|xrange|del)\b|^script 1 callgate:(audit\b|clock\b|nodes\b|\{probe)/i;
  const events = await reader.xrange('callgate:audit', '-', '+');
  await reader.del('callgate:audit');
  return [
    ...new Set(commands.splice(0).filter((command) => !other.test(command))),
    ...new Set(events.map(([, fields]) => masked(`audit ${fields.join(' ')}`))),
  ].sort();
};

const answerOf = async (response: Response): Promise<string[]> => {
  const hidden = new Set(['date', 'content-length', 'ratelimit', 'ratelimit-policy']);
  const headers = [...response.headers]
    .filter(([name]) => !hidden.has(name))
    .map(([name, value]) => `${name}: ${value}`);
  return [String(response.status), ...headers.sort(), masked(await response.text())].map(masked);
};

it('HTTP answers are as recorded', async () => {
  const minted = await server.api('POST', '', { endpoint_id: 'ep_echo', metadata: { order: '7' } });
  const { id } = (await minted.clone().json()) as { id: string };
  const answers = [
    ...(await answerOf(minted)),
    ...(await answerOf(await server.api('GET', `/${id}`))),
    ...(await answerOf(await server.api('POST', `/${id}/refresh`, {}))),
    ...(await answerOf(await server.api('POST', `/${id}/refresh`, {}))),
    ...(await answerOf(await server.api('DELETE', `/${id}`))),
    ...(await answerOf(await server.api('POST', '', { endpoint_id: 'ep_none' }))),
    ...(await answerOf(await fetch(`${server.running.url}/v1/call-tokens`, { method: 'POST' }))),
    ...(await answerOf(await fetch(`${server.running.url}/readyz`))),
    ...(await answerOf(await fetch(`${server.running.url}/nowhere`))),
    ...(await asked()),
  ];
  await expect(answers.join('\n')).toMatchFileSnapshot('wire/http.txt');
});

it('frames and Redis commands of a call are as recorded', async () => {
  const { token, endpoint_id } = await server.mint('ep_echo');
  await asked();
  const socket = await startCall(server.wsUrl, { endpoint_id, token });
  const offer = await socket.expect('offer');
  const client = await RtcClient.answer(offer.sdp);
  socket.send({ type: 'answer', offer_id: offer.offer_id, sdp: client.answerSdp });
  await socket.skipTo('live');
  socket.send({ type: 'restart_ice' });
  const restart = await socket.expect('offer');
  socket.send({ type: 'answer', offer_id: restart.offer_id, sdp: await client.answer(restart.sdp) });
  socket.send({ type: 'hangup' });
  await socket.closing();
  await client.close();
  const again = await startCall(server.wsUrl, { endpoint_id, token });
  await again.closing();
  const lines = [...framesOf('caller', socket), ...framesOf('reuse', again), ...(await asked())];
  await expect(lines.join('\n')).toMatchFileSnapshot('wire/call.txt');
});

it('frames and Redis commands of a room of three are as recorded', { timeout: 60_000 }, async () => {
  const sees = (who: Participant, others: number) =>
    expect.poll(() => who.others.length, { timeout: 15_000 }).toBe(others);
  const joined: Participant[] = [];
  for (let others = 0; others < 3; others++) {
    const participant = await Participant.join(server, 'ep_room');
    participant.client.startSending();
    joined.push(participant);
    for (const who of joined) await sees(who, others);
  }
  for (const participant of joined) {
    await participant.leave();
    const left = joined.slice(joined.indexOf(participant) + 1);
    for (const who of left) await sees(who, left.length - 1);
  }
  const lines = joined.flatMap(({ socket }, index) => framesOf(`participant ${index + 1}`, socket));
  await expect([...lines, ...(await asked())].join('\n')).toMatchFileSnapshot('wire/room.txt');
});
