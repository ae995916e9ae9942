import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { RtcPeer } from '../../src/peer/rtc-peer.ts';
import { codeBlocksOf, ROOT } from '../support/code-blocks.ts';
import { freePort } from '../support/ports.ts';
import { TestServer } from '../support/server.ts';
import { startCall } from '../support/ws-client.ts';

let folder: string;
let server: TestServer;
let agent: ChildProcess;

beforeAll(async () => {
  const port = await freePort();
  folder = await mkdtemp(join(tmpdir(), 'callgate-agent-'));
  const example = codeBlocksOf('docs/applications.md').find(({ code }) => code.includes('WebSocketServer'))!;
  await writeFile(join(folder, 'agent.mjs'), example.code.replace('9000', String(port)));
  await writeFile(join(folder, 'greeting.ulaw'), Buffer.alloc(160 * 20, 0x20));
  await symlink(`${ROOT}node_modules`, join(folder, 'node_modules'));
  agent = spawn(process.execPath, ['agent.mjs'], { cwd: folder, stdio: ['ignore', 'ignore', 'inherit'] });
  const target = `{ kind: stream, url: "ws://127.0.0.1:${port}", format: media-streams }`;
  const endpoints = `\n      - { id: ep_agent, flow: flow_a, webrtc: true, target: ${target} }`;
  server = await TestServer.start({ endpoints });
});
afterAll(async () => {
  agent.kill();
  if (agent.exitCode === null && agent.signalCode === null) await once(agent, 'exit');
  await server.stop();
  await rm(folder, { recursive: true });
});

it('the agent of docs/applications.md greets its caller to the end, and hangs up', async () => {
  const { token, endpoint_id } = await server.mint('ep_agent');
  const socket = await startCall(server.wsUrl, { endpoint_id, token }, { timeoutMs: 20_000 });
  const { offer_id, sdp } = await socket.expect('offer');
  const peer = await RtcPeer.create({ kinds: ['audio'] });
  let heard = 0;
  peer.onPacket = () => {
    heard++;
  };
  socket.send({ type: 'answer', offer_id, sdp: await peer.answer(sdp) });
  expect(await socket.skipTo('ended')).toEqual({ type: 'ended', reason: 'completed' });
  await peer.close();
  expect(heard).toBe(20);
});
