import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { expect, it, onTestFinished } from 'vitest';
import { WebSocket } from 'ws';
import { writeAnswer } from '../../src/peer/sdp/answer.ts';
import { Deployment } from '../support/deployment.ts';
import { RawClient } from '../support/raw-client.ts';
import { startCall, TestSocket } from '../support/ws-client.ts';

const PING_MS = 600;

it('what came in time while the process was stopped is read before any deadline is judged', async () => {
  const admission = { headers_timeout_ms: 1500, start_timeout_ms: 1500, ping_interval_ms: PING_MS };
  const settings = { admission, session: { answer_timeout_ms: 1500 } };
  const deployment = await Deployment.create({ settings });
  onTestFinished(() => deployment.stop());
  const server = await deployment.server();
  const [first, second] = [await deployment.mint(server, 'ep_echo'), await deployment.mint(server, 'ep_echo')];

  const answering = await startCall(server.wsUrl, { endpoint_id: 'ep_echo', token: second.token });
  const { offer_id, sdp } = await answering.expect('offer');
  const starting = await TestSocket.open(server.wsUrl);
  const ponging = new WebSocket(server.wsUrl, ['callgate.v1'], { autoPong: false });
  const closed = once(ponging, 'close');
  await once(ponging, 'ping');
  const requesting = await RawClient.connect(server.url);
  // Taken by the server by then.
  await delay(100);

  server.signal('SIGSTOP');
  ponging.pong();
  requesting.write('GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n');
  starting.send({ type: 'start', endpoint_id: 'ep_echo', token: first.token });
  answering.send({ type: 'answer', offer_id, sdp: writeAnswer(sdp) });
  await delay(2000);
  server.signal('SIGCONT');

  await starting.expect('offer');
  await expect.poll(() => requesting.text, { timeout: 10_000 }).toMatch(/^HTTP\/1\.1 200 /);
  expect(requesting.text).not.toContain('408');
  requesting.destroy();
  for (const socket of [starting, answering]) {
    socket.send({ type: 'hangup' });
    expect(await socket.skipTo('ended')).toEqual({ type: 'ended', reason: 'completed' });
  }
  // A start never came from this one, but it is there.
  expect((await closed)[0]).toBe(4408);
  server.signal('SIGTERM');
});
