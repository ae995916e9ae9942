import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Directory } from '../../src/directory/directory.ts';
import type { HttpErrorCode } from '../../src/errors.ts';
import { MemoryTokenStore } from '../../src/store/memory-store.ts';
import { newTokenId } from '../../src/tokens/ids.ts';
import { ephemeralSigningKeys } from '../../src/tokens/keys.ts';
import { createSigner } from '../../src/tokens/signer.ts';
import { createVerifier } from '../../src/tokens/verifier.ts';
import {
  KEY,
  MINT_ONLY,
  OFF_KEY,
  OTHER_KEY,
  READ_ONLY,
  startApi,
  type TestApi,
  testDirectory,
} from '../support/api.ts';
import { type Call, expectProblem, send } from '../support/api-calls.ts';
import { HELD } from '../support/held.ts';

let api: TestApi;
beforeAll(async () => {
  api = await startApi();
});
afterAll(() => api[Symbol.asyncDispose]());

const FINGERPRINT = `sha-256 ${Array(32).fill('AB').join(':')}`;

const mintOne = async (body: object = {}, to = api) =>
  (await send(to, { body: { endpoint_id: 'ep_echo', ...body } })).json();
const recordOf = async (id: string, to = api) => (await send(to, { method: 'GET', path: `/${id}` })).json();
const refresh = (id: string, parts: Call = {}, to = api) => send(to, { path: `/${id}/refresh`, body: {}, ...parts });
const remove = (id: string, parts: Call = {}, to = api) =>
  send(to, { method: 'DELETE', path: `/${id}`, text: '', ...parts });
const burn = (id: string, sessionId = 'sess_1', to = api) =>
  to.store.burn({ ...HELD, id, endpointId: 'ep_echo', sessionId });

describe('refreshing', () => {
  it('gives a new token of the same kind and family, and revokes the old one', async () => {
    const keys = await ephemeralSigningKeys();
    await using own = await startApi({ sign: createSigner(keys, 'callgate') });
    const wanted = { max_duration_seconds: 300, metadata: { order: '7' }, dtls_fingerprint: FINGERPRINT };
    const old = await mintOne({ ...wanted, ttl_seconds: 30 }, own);
    const response = await refresh(old.id, {}, own);
    const minted = await response.json();
    expect(response.status).toBe(201);
    expect(minted).toEqual({
      ...old,
      id: expect.stringMatching(new RegExp(`^${old.id.slice(0, 28)}[0-9a-f]{32}$`)),
      token: expect.any(String),
      created_at: expect.any(String),
      expires_at: expect.any(String),
    });
    expect(minted.id).not.toBe(old.id);
    expect(Date.parse(minted.expires_at) - Date.parse(minted.created_at)).toBe(30_000);
    const verify = createVerifier(keys, { issuer: 'callgate', leewaySeconds: 0 });
    const claims = await verify(minted.token, Date.parse(minted.created_at));
    expect(claims).toMatchObject({ id: minted.id, endpointId: 'ep_echo', team: 'team_a', fingerprint: FINGERPRINT });
    expect(await recordOf(old.id, own)).toMatchObject({ status: 'revoked' });
    expect(await recordOf(minted.id, own)).toMatchObject({ status: 'issued', metadata: { order: '7' } });
    expect(await burn(old.id, 'sess_old', own)).toEqual({ burned: false, refusal: 'token_revoked' });
    expect(await burn(minted.id, 'sess_new', own)).toMatchObject({ burned: true, remainingMs: 300_000 });
  });

  it('takes another time to live', async () => {
    const { id } = await mintOne();
    const minted = await (await refresh(id, { body: { ttl_seconds: 600 } })).json();
    expect(Date.parse(minted.expires_at) - Date.parse(minted.created_at)).toBe(600_000);
  });

  it.each([
    ['none at all', undefined],
    ['XML', 'text/xml'],
    ['JSON', 'application/json'],
    ['nonsense', 'json'],
  ])('needs no body, with a Content-Type of %s', async (_, type) => {
    const { id } = await mintOne();
    const headers = { authorization: `Bearer ${KEY}`, ...(type && { 'content-type': type }) };
    const response = await fetch(`${api.url}/v1/call-tokens/${id}/refresh`, { method: 'POST', headers });
    expect(response.status).toBe(201);
  });

  it('has one winner of two at the same moment, and one beside a burn', async () => {
    const [first, second] = [await mintOne(), await mintOne()];
    const statuses = await Promise.all([1, 2, 3].map(async () => (await refresh(first.id)).status));
    expect(statuses.sort()).toEqual([201, 409, 409]);
    const [refreshed, burned] = await Promise.all([refresh(second.id), burn(second.id)]);
    expect(burned.burned).toBe(refreshed.status === 409);
  });

  it.each<[string, (id: string) => Promise<unknown>]>([
    ['burned', (id) => burn(id)],
    ['revoked', (id) => remove(id)],
    ['refreshed', (id) => refresh(id)],
  ])('a token that was %s is 409', async (_, spend) => {
    const { id } = await mintOne();
    await spend(id);
    await expectProblem(await refresh(id), 'token_not_issued');
  });

  it('an expired token is 409', async () => {
    let now = 1_700_000_000_000;
    const store = new MemoryTokenStore({ now: () => now });
    await using own = await startApi({ store });
    const { id } = await mintOne({}, own);
    now += 60_000;
    await expectProblem(await refresh(id, {}, own), 'token_not_issued');
    await store.close();
  });

  const stored = async (endpointId: string): Promise<string> => {
    const id = newTokenId();
    await api.store.issue({ id, endpointId, team: 'team_a', ttlSeconds: 60, maxDurationSeconds: 60 });
    return id;
  };

  it.each<[HttpErrorCode, string]>([
    ['endpoint_unknown', 'ep_gone'],
    ['endpoint_unknown', 'ep_other'],
    ['endpoint_not_webrtc', 'ep_phone'],
    ['endpoint_disabled', 'ep_closed'],
    ['flow_not_live', 'ep_paused'],
    ['flow_not_live', 'ep_archived'],
  ])('%s is said of a token for %s, which stays as it was', async (code, endpointId) => {
    const id = await stored(endpointId);
    await expectProblem(await refresh(id), code);
    expect(await recordOf(id)).toMatchObject({ status: 'issued' });
  });

  it('names a closed endpoint before the state of the token', async () => {
    const id = await stored('ep_closed');
    await api.store.revoke(id);
    await expectProblem(await refresh(id), 'endpoint_disabled');
  });
});

describe('revoking', () => {
  it('makes an issued token worthless, and may be repeated', async () => {
    const { id } = await mintOne();
    for (let i = 0; i < 2; i++) {
      const response = await remove(id);
      expect([response.status, await response.text()]).toEqual([204, '']);
    }
    expect(await recordOf(id)).toMatchObject({ status: 'revoked' });
    expect(await burn(id)).toEqual({ burned: false, refusal: 'token_revoked' });
  });

  it('is recorded of an active token and announced, and changes nothing of an ended one', async () => {
    const { id } = await mintOne();
    const heard: string[] = [];
    const stop = api.store.onSessions({
      revoked: (sessionId) => void heard.push(sessionId),
      moved: () => undefined,
      missed: () => undefined,
    });
    await burn(id, 'sess_revoked');
    expect((await remove(id)).status).toBe(204);
    expect(heard).toEqual(['sess_revoked']);
    expect(await recordOf(id)).toMatchObject({ status: 'active' });
    await api.store.finish({ ...HELD, id, sessionId: 'sess_revoked', reason: 'completed' });
    const ended = await recordOf(id);
    expect((await remove(id)).status).toBe(204);
    expect(await recordOf(id)).toEqual(ended);
    expect(heard).toHaveLength(1);
    stop();
  });

  it('works for a team whose flag is off', async () => {
    const id = newTokenId();
    await api.store.issue({ id, endpointId: 'ep_off', team: 'team_off', ttlSeconds: 60, maxDurationSeconds: 1 });
    expect((await remove(id, { key: OFF_KEY })).status).toBe(204);
    expect((await api.store.read(id))?.status).toBe('revoked');
  });
});

describe('refusals of refreshing and revoking', () => {
  const xml = { 'content-type': 'text/xml' };
  const large = 'x'.repeat(65_537);
  const ROWS: [HttpErrorCode, string, Call][] = [
    [
      'server_to_server_only',
      'an Origin',
      { headers: { origin: 'https://a.example', ...xml }, key: null, text: large },
    ],
    ['api_key_missing', 'no key', { key: null, headers: xml, text: large }],
    ['api_key_invalid', 'a wrong key', { key: `${KEY}x`, headers: xml, text: large }],
    ['scope_missing', 'a key that may only read', { key: READ_ONLY, headers: xml, text: large }],
    ['body_too_large', 'more than 64 KiB', { headers: xml, text: large }],
    ['media_type_unsupported', 'XML', { headers: xml, text: '{' }],
    ['request_malformed', 'half a document', { headers: { 'content-type': 'application/json' }, text: '{' }],
    ['token_not_found', 'an unknown token', {}],
    ['token_not_found', 'something that is no id', { path: 'ct_1' }],
  ];

  it.each(ROWS)('%s: %s', async (code, _, { path = newTokenId(), ...parts }) => {
    await expectProblem(await refresh(path, parts), code);
    await expectProblem(await remove(path, parts), code);
  });

  it.each<[HttpErrorCode, string, Call]>([
    ['webrtc_disabled', 'the flag off, whatever is wrong besides', { key: OFF_KEY, headers: xml, text: large }],
    ['request_malformed', 'null', { text: 'null' }],
    ['request_malformed', 'too short a life', { body: { ttl_seconds: 4 } }],
    ['request_malformed', 'another endpoint', { body: { endpoint_id: 'ep_room' } }],
  ])('%s: %s, for refreshing', async (code, _, parts) => {
    await expectProblem(await refresh(newTokenId(), parts), code);
  });

  it("see another team's token as one that is not there", async () => {
    const { id } = await mintOne();
    for (const parts of [{ key: OTHER_KEY }, { key: OTHER_KEY, body: { ttl_seconds: 5 } }]) {
      const [other, none] = [await refresh(id, parts), await refresh(newTokenId(), parts)];
      expect({ ...(await other.json()), request_id: '' }).toEqual({ ...(await none.json()), request_id: '' });
      expect(other.status).toBe(404);
    }
    await expectProblem(await remove(id, { key: OTHER_KEY }), 'token_not_found');
    expect(await recordOf(id)).toMatchObject({ status: 'issued' });
  });

  it('need the scope to create, for revoking too', async () => {
    const { id } = await mintOne();
    expect((await remove(id, { key: MINT_ONLY })).status).toBe(204);
  });

  it('look at the directory as it is now', async () => {
    let current: Directory = testDirectory();
    await using own = await startApi({
      directory: {
        get current() {
          return current;
        },
      },
    });
    const { id } = await mintOne({}, own);
    const before = current;
    const closed = { ...before.endpoint('ep_echo')!, enabled: false };
    current = { ...before, endpoint: (name) => (name === 'ep_echo' ? closed : before.endpoint(name)) };
    await expectProblem(await refresh(id, {}, own), 'endpoint_disabled');
    expect((await remove(id, {}, own)).status).toBe(204);
  });
});
