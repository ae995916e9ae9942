import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SignJWT } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ephemeralSigningKeys, publicKeySet, type SigningKeys } from '../../src/tokens/keys.ts';
import { Deployment } from '../support/deployment.ts';
import { TestRedis } from '../support/redis.ts';
import type { ServerProcess } from '../support/server-process.ts';
import { startCall } from '../support/ws-client.ts';

const ISS = 'https://platform.example.com';
const OTHER = 'https://other.example.com';

let folder: string;
let redis: TestRedis;
let deployment: Deployment;
let servers: ServerProcess[];
let keys: SigningKeys;
let requests = 0;
const jwks = { server: createServer(), set: { keys: [] as object[] } };

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'callgate-issuers-'));
  const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')];
  const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=IP:127.0.0.1'];
  const made = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2'];
  execFileSync('openssl', [...made, ...subject, '-keyout', key, '-out', cert], { stdio: 'ignore' });
  jwks.server.setSecureContext({ key: await readFile(key), cert: await readFile(cert) });
  jwks.server.on('request', (_, response) => {
    requests += 1;
    response.end(JSON.stringify(jwks.set));
  });
  jwks.server.listen(0, '127.0.0.1');
  await once(jwks.server, 'listening');
  keys = await ephemeralSigningKeys();
  jwks.set = publicKeySet(keys);

  redis = await TestRedis.start();
  const { port } = jwks.server.address() as AddressInfo;
  const issuers = [
    { iss: ISS, jwks_url: `https://127.0.0.1:${port}/jwks.json`, teams: ['team_a'] },
    { iss: OTHER, jwks_url: `https://127.0.0.1:${port}/jwks.json`, teams: ['team_b'] },
  ];
  const settings = { issuers, admission: { failed_presentations_per_minute: 1000 } };
  deployment = await Deployment.create({ redisUrl: redis.url, settings });
  const env = { NODE_EXTRA_CA_CERTS: cert };
  servers = await Promise.all([deployment.server(env), deployment.server(env)]);
});
afterAll(async () => {
  await deployment?.stop();
  await redis?.stop();
  jwks.server.closeAllConnections();
  jwks.server.close();
  await rm(folder, { recursive: true, force: true });
});

let count = 0;
/** What the platform signs by itself, without asking anybody. */
const sign = (payload: object = {}, by: SigningKeys = keys): Promise<string> => {
  const iat = Math.floor(Date.now() / 1000);
  const claims = {
    iss: ISS,
    aud: 'callgate',
    jti: `call/${++count}`,
    sub: 'ep_echo',
    team: 'team_a',
    iat,
    exp: iat + 60,
  };
  const { alg, kid, privateKey } = by.signing;
  return new SignJWT({ ...claims, ...payload })
    .setProtectedHeader({ alg, kid, typ: 'call-token+jwt' })
    .sign(privateKey);
};

/** Presents a token and hangs up at the offer; answers the session, or the refusal. */
const present = async ({ wsUrl }: ServerProcess, token: string, endpoint_id = 'ep_echo') => {
  const socket = await startCall(wsUrl, { token, endpoint_id }, { timeoutMs: 30_000 });
  const first = await socket.next();
  if (first.type === 'offer') socket.send({ type: 'hangup' });
  await socket.closing();
  if (first.type === 'error') return { code: first.code, retryable: first.retryable };
  if (first.type !== 'offer') throw new Error(`the first frame was ${first.type}`);
  const { id, expires_in_ms } = first.session;
  return { session: id, seconds: Math.ceil(expires_in_ms / 1000) };
};

describe('a call token signed by another platform', () => {
  it('buys one call on whichever gateway, and is then a record like any other', { timeout: 60_000 }, async () => {
    const token = await sign();
    const outcomes = await Promise.all(Array.from({ length: 20 }, (_, i) => present(servers[i % 2]!, token)));
    const won = outcomes.filter((outcome) => 'session' in outcome);
    expect(won).toHaveLength(1);
    expect(outcomes.filter((outcome) => 'code' in outcome)).toEqual(
      Array(19).fill({ code: 'token_used', retryable: false }),
    );
    const answer = await deployment.request(servers[0]!.url, 'GET', '?endpoint_id=ep_echo');
    const { data } = (await answer.json()) as { data: { id: string; status: string; session?: { id: string } }[] };
    const record = data.find(({ session }) => session?.id === won[0]?.session);
    expect(record).toMatchObject({ id: expect.stringMatching(/^ct_0{23}/), status: 'completed' });
    expect(await deployment.read(servers[1]!, record!.id)).toMatchObject({ status: 'completed' });
    expect((await deployment.request(servers[0]!.url, 'POST', `/${record!.id}/refresh`)).status).toBe(409);
  });

  it('lasts as long as it asks for, and never longer than the endpoint lets it', async () => {
    expect(await present(servers[0]!, await sign({ max_duration_seconds: 30 }))).toMatchObject({ seconds: 30 });
    expect(await present(servers[0]!, await sign({ max_duration_seconds: 99_999 }))).toMatchObject({ seconds: 3600 });
    expect(await present(servers[0]!, await sign())).toMatchObject({ seconds: 3600 });
  });

  it('is refused in the documented order, and not spent by that', async () => {
    const iat = Math.floor(Date.now() / 1000);
    const refusals: [object, string, string][] = [
      [{ iss: 'https://nobody.example.com' }, 'ep_echo', 'token_invalid'],
      [{ team: 'team_b' }, 'ep_echo', 'token_invalid'],
      [{ exp: iat + 700 }, 'ep_echo', 'token_invalid'],
      [{ iat: iat - 100, exp: iat - 40 }, 'ep_echo', 'token_expired'],
      [{ sub: 'ep_one' }, 'ep_echo', 'endpoint_mismatch'],
      [{ sub: 'ep_none' }, 'ep_none', 'endpoint_unavailable'],
      [{ iss: OTHER, team: 'team_b' }, 'ep_echo', 'endpoint_unavailable'],
      [{ iat: iat - 500, exp: iat + 60 }, 'ep_echo', 'token_unknown'],
    ];
    for (const [payload, endpoint, code] of refusals) {
      expect(await present(servers[0]!, await sign(payload), endpoint)).toMatchObject({ code });
    }
    const token = await sign({ sub: 'ep_one' });
    expect(await present(servers[0]!, token, 'ep_echo')).toEqual({ code: 'endpoint_mismatch', retryable: true });
    expect(await present(servers[0]!, token, 'ep_one')).toHaveProperty('session');
  });

  it('with a new key is taken once the key is published, and asks the platform seldom', {
    timeout: 60_000,
  }, async () => {
    const newer = await ephemeralSigningKeys();
    const token = await sign({}, newer);
    const before = requests;
    for (let i = 0; i < 20; i++) {
      expect(await present(servers[0]!, token)).toEqual({ code: 'token_invalid', retryable: false });
    }
    expect(requests - before).toBeLessThanOrEqual(1);
    jwks.set = { keys: [...publicKeySet(newer).keys, ...publicKeySet(keys).keys] };
    await expect.poll(() => present(servers[0]!, token), { timeout: 20_000, interval: 500 }).toHaveProperty('session');
    expect(await present(servers[0]!, await sign())).toHaveProperty('session');
  });

  it('is unknown to a store that was restarted since it was issued', { timeout: 60_000 }, async () => {
    const token = await sign({ exp: Math.floor(Date.now() / 1000) + 590 });
    expect(await present(servers[0]!, token)).toHaveProperty('session');
    await redis.kill();
    await redis.boot();
    const settled = () => present(servers[1]!, token);
    await expect.poll(settled, { timeout: 20_000 }).toEqual({ code: 'token_unknown', retryable: false });
    await expect.poll(async () => present(servers[1]!, await sign()), { timeout: 20_000 }).toHaveProperty('session');
    expect(await settled()).toEqual({ code: 'token_unknown', retryable: false });
  });
});
