import { decodeJwt, type JWK } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { newIdentity } from '../../src/peer/sdp/answer.ts';
import { hangUp, refusalOf, signingKeyOf, signToken, WAYS, win } from '../support/scenario.ts';
import { TestServer } from '../support/server.ts';
import { startCall, type TestSocket } from '../support/ws-client.ts';

/** What can be wrong with a start before its burn, in the documented order; the burn's own refusals come last. */
const ORDER = [
  'bad_message',
  'token_invalid',
  'token_expired',
  'endpoint_mismatch',
  'endpoint_unavailable',
  'origin_denied',
  'fingerprint_mismatch',
  'at_capacity',
  'token_used',
] as const;
type Fault = (typeof ORDER)[number];

const rules = 'flow: flow_a, webrtc: true, target: { kind: echo }, allowed_origins: ["https://app.example"]';
const ENDPOINTS = `
      - { id: ep_free, ${rules} }
      - { id: ep_full, ${rules}, max_sessions: 1 }
      - { id: ep_off, ${rules}, state: disabled }`;

let server: TestServer;
let key: JWK;
let holder: TestSocket;
/** Claims of spent tokens. */
const spent: Record<string, object> = {};

beforeAll(async () => {
  server = await TestServer.start({ endpoints: ENDPOINTS });
  key = await signingKeyOf(server);
  const [free, full] = [await server.mint('ep_free'), await server.mint('ep_full')];
  await hangUp(await win(server, free));
  await hangUp(await win(server, full));
  spent.ep_free = decodeJwt(free.token);
  spent.ep_full = decodeJwt(full.token);
  holder = await win(server, await server.mint('ep_full'));
});

afterAll(async () => {
  if (holder) await hangUp(holder);
  await server?.stop();
});

/** A start that is wrong in exactly these ways. */
const presentWith = async (faults: readonly Fault[], early: boolean): Promise<TestSocket> => {
  const has = (fault: Fault) => faults.includes(fault);
  const stored = has('at_capacity') ? 'ep_full' : 'ep_free';
  const sub = has('endpoint_unavailable') ? 'ep_off' : stored;
  const genuine = has('token_used') ? spent[stored]! : decodeJwt((await server.mint(stored)).token);
  const now = Math.floor(Date.now() / 1000);
  const { fingerprint } = newIdentity();
  const bound = { 'x5t#S256': Buffer.from(fingerprint.replaceAll(':', ''), 'hex').toString('base64url') };
  const token = await signToken(key, {
    ...genuine,
    sub,
    ...(has('token_expired') && { iat: now - 100, exp: now - 50 }),
    ...(has('fingerprint_mismatch') && { cnf: bound }),
  });
  const start = {
    endpoint_id: has('endpoint_mismatch') ? 'ep_other' : sub,
    token: has('token_invalid') ? `${token.slice(0, -8)}AAAAAAAA` : token,
    ...(has('bad_message') && { unknown: true }),
  };
  const origin = has('origin_denied') ? 'https://evil.example' : 'https://app.example';
  return startCall(server.wsUrl, start, { early, origin });
};

const pairs = ORDER.flatMap((first, at) => ORDER.slice(at + 1).map((second) => [first, second] as const));

describe.each(WAYS)('with %s', (_, early) => {
  it('nothing wrong is an offer', async () => {
    const socket = await presentWith([], early);
    await socket.expect('offer');
    await hangUp(socket);
  });

  it.each(ORDER)('%s alone is told', async (fault) => {
    expect((await refusalOf(await presentWith([fault], early))).code).toBe(fault);
  });

  it.each(pairs)('%s is told before %s', async (first, second) => {
    // At a full endpoint the presenter hears what the burn would refuse.
    const told = first === 'at_capacity' ? second : first;
    expect((await refusalOf(await presentWith([first, second], early))).code).toBe(told);
  });

  it('everything wrong at once is bad_message', async () => {
    expect((await refusalOf(await presentWith(ORDER, early))).code).toBe('bad_message');
  });
});
