import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TestRedis } from '../support/redis.ts';
import { type MintedToken, TestServer } from '../support/server.ts';
import { startCall, type TestSocket } from '../support/ws-client.ts';

/** From Redis's first answer to the first success. */
const WITHIN_MS = 2000;

let redis: TestRedis;
let servers: [TestServer, TestServer];

beforeAll(async () => {
  // What was answered is on disk: only what is told wrongly could differ after the kill.
  redis = await TestRedis.start('--appendonly', 'yes', '--appendfsync', 'always');
  const first = await TestServer.start({ redisUrl: redis.url });
  servers = [first, await TestServer.start({ redisUrl: redis.url, like: first })];
});
afterAll(async () => {
  for (const server of servers ?? []) await server.stop();
  await redis?.stop();
});

/** What one server did under load, and when it last succeeded. */
class Load {
  readonly minted: string[] = [];
  readonly sessions = new Map<string, string[]>();
  readonly refusals: { status: number; retryAfter: string | null }[] = [];
  readonly codes = new Set<string>();
  /** When a mint succeeded, and when a burn did, in order. */
  readonly mints: number[] = [];
  readonly burns: number[] = [];
  readonly #server: TestServer;
  readonly #other: TestServer;
  readonly #runs: Promise<void>[];
  #going = true;

  constructor(server: TestServer, other: TestServer) {
    this.#server = server;
    this.#other = other;
    this.#runs = [1, 2].map(() => this.#run());
  }

  async stop(): Promise<void> {
    this.#going = false;
    await Promise.all(this.#runs);
  }

  async #run(): Promise<void> {
    while (this.#going) {
      const token = await this.#mint();
      // Nothing is gained by asking faster than a person who waits.
      if (!token) await sleep(20);
      else await Promise.all([this.#present(this.#server, token), this.#present(this.#other, token)]);
    }
  }

  async #mint(): Promise<MintedToken | undefined> {
    const response = await this.#server.api('POST', '', { endpoint_id: 'ep_echo', ttl_seconds: 600 });
    const body = await response.json();
    if (response.status === 201) {
      this.minted.push(body.id);
      this.mints.push(performance.now());
      return body;
    }
    this.refusals.push({ status: response.status, retryAfter: response.headers.get('retry-after') });
    return undefined;
  }

  async #present(server: TestServer, { id, token, endpoint_id }: MintedToken): Promise<void> {
    const socket = await startCall(server.wsUrl, { token, endpoint_id });
    const first = await socket.next();
    if (first.type === 'offer') {
      this.burns.push(performance.now());
      this.sessions.set(id, [...(this.sessions.get(id) ?? []), first.session.id]);
      socket.send({ type: 'hangup' });
    } else if (first.type === 'error') this.codes.add(first.code);
    await socket.closing();
  }
}

const call = async (server: TestServer): Promise<{ id: string; socket: TestSocket }> => {
  const { id, token, endpoint_id } = await server.mint('ep_echo');
  const socket = await startCall(server.wsUrl, { token, endpoint_id });
  await socket.expect('offer');
  return { id, socket };
};

describe('a Redis that is killed and restarted under load', () => {
  it.each([
    ['a moment', 100],
    ['a second', 1000],
    // The pauses between two attempts to connect are as long as they get.
    ['some seconds', 3500],
  ])('is used again within 2 s of its first answer, after %s', { timeout: 60_000 }, async (_, awayMs) => {
    const [running, revoked] = [await call(servers[0]), await call(servers[0])];
    const loads = [new Load(servers[0], servers[1]), new Load(servers[1], servers[0])];
    await expect.poll(() => loads.every(({ burns }) => burns.length > 0), { timeout: 10_000 }).toBe(true);
    await redis.kill();
    await sleep(awayMs);
    await redis.boot();
    const answered = performance.now();
    await sleep(WITHIN_MS);
    // Announcements are heard again, too: a lease is renewed every 10 s only.
    expect((await servers[1].api('DELETE', `/${revoked.id}`)).status).toBe(204);
    const announced = performance.now();
    expect(await revoked.socket.skipTo('ended')).toEqual({ type: 'ended', reason: 'revoked' });
    expect(performance.now() - announced).toBeLessThan(WITHIN_MS);
    await Promise.all(loads.map((load) => load.stop()));

    for (const { mints, burns, minted, sessions, refusals, codes } of loads) {
      const [minting, burning] = [mints, burns].map(
        (times) => (times.find((at) => at > answered) ?? Infinity) - answered,
      );
      console.info(`minting ${minting?.toFixed(0)} ms, burning ${burning?.toFixed(0)} ms after Redis answered`);
      expect(minting).toBeLessThan(WITHIN_MS);
      expect(burning).toBeLessThan(WITHIN_MS);
      expect(refusals.filter(({ status, retryAfter }) => status !== 503 || retryAfter !== '1')).toEqual([]);
      // A token that was minted before the restart is not the store's own any more.
      expect(['token_used', 'token_unknown', 'unavailable']).toEqual(expect.arrayContaining([...codes]));
      expect([...sessions.values()].filter(({ length }) => length > 1)).toEqual([]);
      const reads = await Promise.all(minted.map((id) => servers[1].api('GET', `/${id}`)));
      expect(reads.filter(({ status }) => status !== 200)).toEqual([]);
    }
    expect(running.socket.messages.map(({ type }) => type)).toEqual(['offer']);
    running.socket.send({ type: 'hangup' });
    expect(await running.socket.skipTo('ended')).toEqual({ type: 'ended', reason: 'completed' });
  });
});
