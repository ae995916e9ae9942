import { readFile } from 'node:fs/promises';
import { CompactSign, importJWK, type JWK } from 'jose';
import { expect } from 'vitest';
import { type Identity, writeAnswer } from '../../src/peer/sdp/answer.ts';
import type { ServerMessage } from '../../src/protocol/messages.ts';
import type { TestServer } from './server.ts';
import { type SocketOptions, startCall, type TestSocket } from './ws-client.ts';

/** The two ways to start a call; every rule holds for both. */
export const WAYS = [
  ['a start frame', false],
  ['an early start', true],
] as const;

export interface Refusal {
  code: string;
  retryable: boolean;
  close: number;
}

/** How a socket was refused: with one error frame, nothing else, and then the close. */
export const refusalOf = async (socket: TestSocket): Promise<Refusal> => {
  const { code: close } = await socket.closing();
  expect(socket.messages).toHaveLength(1);
  const [error] = socket.messages;
  if (error?.type !== 'error') throw new Error(`expected an error, got ${JSON.stringify(error)}`);
  return { code: error.code, retryable: error.retryable, close };
};

export const errorsOf = (messages: readonly ServerMessage[]) => messages.filter(({ type }) => type === 'error');

/** The private signing key of a server. */
export const signingKeyOf = async ({ keysFile }: TestServer): Promise<JWK> => {
  const set = JSON.parse(await readFile(keysFile, 'utf8')) as { keys: JWK[] };
  return set.keys[0]!;
};

/** A compact JWS over any payload, with the header of a call token unless told otherwise. */
export const signToken = async (jwk: JWK, payload: object, header: Record<string, unknown> = {}): Promise<string> => {
  const alg = String(header.alg ?? jwk.alg);
  const protectedHeader = { alg, kid: jwk.kid!, typ: 'call-token+jwt', ...header };
  const key = await importJWK(jwk, alg);
  return new CompactSign(Buffer.from(JSON.stringify(payload)))
    .setProtectedHeader(protectedHeader)
    .sign(key, { crit: { gate: true } });
};

/** Presents a token and hands back the socket of the call that it bought. */
export const win = async (
  server: TestServer,
  { token, endpoint_id }: { token: string; endpoint_id: string },
  options: SocketOptions & { early?: boolean } = {},
): Promise<TestSocket> => {
  const socket = await startCall(server.wsUrl, { endpoint_id, token }, options);
  await socket.expect('offer');
  return socket;
};

/** Hangs up and waits for the last word. */
export const hangUp = async (socket: TestSocket): Promise<void> => {
  socket.send({ type: 'hangup' });
  expect(await socket.skipTo('ended')).toEqual({ type: 'ended', reason: 'completed' });
  expect((await socket.closing()).code).toBe(1000);
};

/** Reads the next offer and answers it rightly. */
export const answerNext = async (socket: TestSocket, identity: Identity): Promise<string> => {
  const { offer_id, sdp } = await socket.skipTo('offer');
  socket.send({ type: 'answer', offer_id, sdp: writeAnswer(sdp, { identity }) });
  return sdp;
};

/** Resolves once nothing is held any more. */
export const allFree = (server: TestServer): Promise<void> =>
  expect.poll(() => server.running.held(), { timeout: 10_000 }).toEqual({ sessions: 0, sockets: 0, calls: 0 });
