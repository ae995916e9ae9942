import { randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { writeAnswer } from '../../src/peer/sdp/answer.ts';
import type { ServerMessage } from '../../src/protocol/messages.ts';
import { frame, RawClient } from '../support/raw-client.ts';
import { TestRedis } from '../support/redis.ts';
import { hangUp, signingKeyOf } from '../support/scenario.ts';
import { type MintedToken, TestServer } from '../support/server.ts';
import { ServerProcess } from '../support/server-process.ts';
import { earlyStart, startCall, TestSocket } from '../support/ws-client.ts';

const password = `pw-${randomBytes(16).toString('hex')}`;
let redis: TestRedis;
let redisUrl: string;
let server: TestServer;
let log = '';

beforeAll(async () => {
  redis = await TestRedis.start();
  await redis.cli('CONFIG', 'SET', 'requirepass', password);
  redisUrl = redis.url.replace('redis://', `redis://:${password}@`);
  const destination = {
    write: (line: string) => {
      log += line;
    },
  };
  server = await TestServer.start({ redisUrl, log: { level: 'trace', destination } });
});
afterAll(async () => {
  await server?.stop();
  await redis?.stop();
});

const redisCli = (...args: string[]) => redis.cli('-a', password, '--no-auth-warning', ...args);

/** Somebody who uses a server in every wrong way, and remembers all secrets sent and all that came back. */
class Misuser {
  readonly secrets = new Set<string>();
  /** Error frames, close reasons and HTTP answers, but for the answers whose purpose is to hand out a secret. */
  readonly heard: string[] = [];
  readonly #url: string;
  readonly #apiKey: string;

  constructor(url: string, apiKey: string) {
    this.#url = url;
    this.#apiKey = apiKey;
    // The secret is base64url, which has underscores of its own.
    this.#keep(apiKey, apiKey.replace(/^cgk_[^_]+_/, ''));
  }

  async useAndMisuse(): Promise<void> {
    await this.call(false);
    await this.call(true);
    await this.sendMalformed();
    await this.answerBadly();
    await this.misuseHttp();
    await this.breakHttp();
  }

  async mint(endpoint_id = 'ep_echo'): Promise<MintedToken> {
    const minted = (await (await this.#post({ endpoint_id, ttl_seconds: 600 })).json()) as MintedToken;
    const [, payload = '', signature = ''] = minted.token.split('.');
    this.#keep(minted.token, payload, signature);
    return minted;
  }

  async call(early: boolean): Promise<void> {
    const { token } = await this.mint();
    const start = { endpoint_id: 'ep_echo', token };
    this.#keep(earlyStart({ type: 'start', ...start }));
    const socket = await startCall(this.#wsUrl, start, { early });
    const { session } = await socket.expect('offer');
    this.#keep(session.ticket);
    await hangUp(socket);
    await this.#refused(startCall(this.#wsUrl, start, { early }));
    await this.#refused(startCall(this.#wsUrl, { ...start, endpoint_id: 'ep_page' }, { early }));
    await this.#refused(startCall(this.#wsUrl, { ...start, token: `${token}x` }, { early }));
    await this.#refused(startCall(this.#wsUrl, { ...start, [token]: token }, { early }));
    await this.#refused(this.#send(JSON.stringify({ type: 'resume', session_id: session.id, ticket: session.ticket })));
  }

  async sendMalformed(): Promise<void> {
    const { token } = await this.mint();
    for (const data of [token, `{"type":"start","token":"${token}"`, `{"${token}":1}`, `{"type":"${token}"}`]) {
      await this.#refused(this.#send(data));
    }
    await this.#refused(this.#send(Buffer.from(token)));
    await this.#refused(this.#send(token.repeat(100)));
    await this.#refused(this.#send(token.repeat(3000)));
    const client = await RawClient.upgrade(this.#url);
    client.write(frame(token, { rsv: 4 }));
    await client.closed;
    this.heard.push(client.text);
    const protocol = `callgate.start.${token}`;
    await this.#refused(TestSocket.open(this.#wsUrl, { protocols: ['callgate.v1', protocol] }));
    await expect(TestSocket.open(`${this.#url.replace('http', 'ws')}/x?token=${token}`)).rejects.toThrow('404');
  }

  async answerBadly(): Promise<void> {
    for (const make of [
      (_: string, token: string) => token,
      (sdp: string, token: string) => `${sdp}a=mid:${token}\r\n`,
    ]) {
      const { token } = await this.mint();
      const socket = await startCall(this.#wsUrl, { endpoint_id: 'ep_echo', token });
      const { offer_id, sdp, session } = await socket.expect('offer');
      this.#keep(session.ticket);
      const answer = make(writeAnswer(sdp), `${token} ${session.ticket}`);
      socket.send({ type: 'answer', offer_id, sdp: answer });
      await this.#refused(Promise.resolve(socket));
    }
  }

  async misuseHttp(): Promise<void> {
    const { token } = await this.mint();
    const wrongKey = `cgk_backend_${randomBytes(24).toString('base64url')}`;
    this.#keep(wrongKey);
    const paths = [
      `/v1/call-tokens/${token}`,
      `/v1/call-tokens?token=${token}`,
      `/v1/connect?token=${token}`,
      `/${token}`,
    ];
    for (const path of [
      ...paths,
      `/v1/call-tokens/%zz${token}`,
      `/readyz?key=${this.#apiKey}`,
      `/%ff${this.#apiKey}`,
    ]) {
      for (const key of [this.#apiKey, wrongKey, token]) {
        for (const method of ['GET', 'POST', 'DELETE', 'OPTIONS']) {
          const headers = { authorization: `Bearer ${key}`, 'x-token': token, cookie: `token=${token}` };
          await this.#hear(fetch(this.#url + path, { method, headers }));
        }
      }
    }
    const bodies = [
      { endpoint_id: token },
      { [token]: token },
      { endpoint_id: 'ep_echo', metadata: { a: [token] } },
      [token],
    ];
    for (const body of [...bodies, { endpoint_id: 'ep_echo', dtls_fingerprint: token }])
      await this.#hear(this.#post(body));
    for (const text of [
      token,
      `{"endpoint_id":"${token}"`,
      `{"a":${JSON.stringify(this.#apiKey)},}`,
      token.repeat(500),
    ]) {
      await this.#hear(this.#postText(text));
    }
  }

  /** What Node's parser refuses before there is a request. */
  async breakHttp(): Promise<void> {
    const { token } = await this.mint();
    for (const text of [
      `${token}\r\n\r\n`,
      `GET /${token} HTTP/9.9\r\n\r\n`,
      `GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${this.#apiKey}\r\n${token}\r\n\r\n`,
      `GET / HTTP/1.1\r\nHost: x\r\nX-Token: ${token.repeat(80)}\r\n\r\n`,
      `GET /v1/connect HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 1\r\nSec-WebSocket-Protocol: callgate.start.${token}\r\n\r\n`,
    ]) {
      const client = await RawClient.connect(this.#url);
      client.write(text);
      await client.closed;
      this.heard.push(client.text);
    }
  }

  /** Presents and mints where the store cannot do its work. */
  async meetBrokenStore(minted: MintedToken): Promise<void> {
    await this.#refused(startCall(this.#wsUrl, { endpoint_id: minted.endpoint_id, token: minted.token }));
    await this.#hear(this.#post({ endpoint_id: 'ep_echo' }));
    const headers = { authorization: `Bearer ${this.#apiKey}` };
    await this.#hear(fetch(`${this.#url}/v1/call-tokens/${minted.id}`, { headers }));
  }

  get #wsUrl(): string {
    return `${this.#url.replace('http', 'ws')}/v1/connect`;
  }

  #keep(...secrets: string[]): void {
    for (const secret of secrets) this.secrets.add(secret);
  }

  #post(body: object): Promise<Response> {
    return this.#postText(JSON.stringify(body));
  }

  #postText(body: string): Promise<Response> {
    const headers = { authorization: `Bearer ${this.#apiKey}`, 'content-type': 'application/json' };
    return fetch(`${this.#url}/v1/call-tokens`, { method: 'POST', headers, body });
  }

  async #send(data: string | Buffer): Promise<TestSocket> {
    const socket = await TestSocket.open(this.#wsUrl);
    socket.sendRaw(data);
    return socket;
  }

  async #refused(opening: Promise<TestSocket>): Promise<void> {
    const socket = await opening;
    const closing = await socket.closing();
    const hasTicket = (message: ServerMessage) => message.type === 'offer';
    const messages = socket.messages.filter((message) => !hasTicket(message));
    expect(messages.map(({ type }) => type)).toContain('error');
    this.heard.push(JSON.stringify([messages, closing]));
  }

  async #hear(answering: Promise<Response>): Promise<void> {
    const response = await answering;
    const text = JSON.stringify([...response.headers]) + (await response.text());
    if (response.status !== 201) this.heard.push(text);
  }
}

/** Names a secret that was found, without printing it. */
const expectNone = (text: string, secrets: Iterable<string>, where: string): void => {
  for (const secret of secrets) {
    const at = text.indexOf(secret);
    if (at >= 0)
      throw new Error(
        `a secret of ${secret.length} characters is in ${where}: …${text.slice(Math.max(0, at - 150), at)}`,
      );
  }
};

describe('no token, ticket, key or password is ever', () => {
  it('in the log at its most talkative, nor in what is answered', { timeout: 120_000 }, async () => {
    const misuser = new Misuser(server.running.url, server.apiKey);
    await misuser.useAndMisuse();

    // Of another type, and with a time that is none: to read the second is a defect, which is logged as such.
    const ruined: [MintedToken, ...string[]][] = [
      [await misuser.mint(), 'SET', 'not a record'],
      [await misuser.mint(), 'HSET', 'max_duration', '1e300', 'created', '1e300'],
    ];
    for (const [minted, command, ...values] of ruined) {
      const [, family, random] = minted.id.split('_');
      await redisCli(command!, `callgate:{${family}}:${random}`, ...values);
      await misuser.meetBrokenStore(minted);
    }
    expect(log).toContain('WRONGTYPE');
    expect(log).toContain('"code":"internal_error"');

    const waiting = await misuser.mint();
    redis.pause();
    await misuser.meetBrokenStore(waiting).finally(() => redis.resume());

    const { d } = await signingKeyOf(server);
    const secrets = [...misuser.secrets, d!, password];
    expect(misuser.secrets.size).toBeGreaterThan(20);
    expectNone(log, secrets, 'the log');
    expectNone(misuser.heard.join('\n'), secrets, 'an answer');
    expect(log.split('\n').length).toBeGreaterThan(50);
  });

  it('in the log of a server that Redis does not let in', async () => {
    const wrong = `wrong-${randomBytes(16).toString('hex')}`;
    let text = '';
    const destination = {
      write: (line: string) => {
        text += line;
      },
    };
    const url = redisUrl.replace(password, wrong);
    const shut = await TestServer.start({ redisUrl: url, like: server, log: { level: 'trace', destination } }).catch(
      (error: unknown) => String(error),
    );
    if (typeof shut === 'string') text += shut;
    else {
      expect((await shut.api('POST', '', { endpoint_id: 'ep_echo' })).status).toBe(503);
      await shut.stop();
    }
    expect(text).toMatch(/Redis/i);
    expectNone(text, [wrong, server.apiKey], 'the log');
  });

  describe('in the output of the process', () => {
    const env = () => ({
      CALLGATE_TENANTS: join(dirname(server.keysFile), 'tenants.yaml'),
      CALLGATE_SIGNING_KEYS: server.keysFile,
      REDIS_URL: redisUrl,
      LOG_LEVEL: 'trace',
    });

    it('that is used and misused', { timeout: 120_000 }, async () => {
      const process = await ServerProcess.start({ env: env() });
      const misuser = new Misuser(process.url, server.apiKey);
      try {
        await misuser.useAndMisuse();
      } finally {
        await process.stop();
      }
      const { d } = await signingKeyOf(server);
      const secrets = [...misuser.secrets, d!, password];
      expectNone(process.output, secrets, 'the output');
      expectNone(misuser.heard.join('\n'), secrets, 'an answer');
    });

    it('that cannot start with its settings', { timeout: 60_000 }, async () => {
      const { d } = await signingKeyOf(server);
      const folder = dirname(server.keysFile);
      const keys = await readFile(server.keysFile, 'utf8');
      const mistakes = [
        { REDIS_URL: `rediss//:${password}@127.0.0.1` },
        { REDIS_URL: `redis://:${password}@127.0.0.1:notaport` },
        { CALLGATE_SIGNING_KEYS: join(folder, 'cut.json') },
        { CALLGATE_SIGNING_KEYS: join(folder, 'shifted.json') },
      ];
      await writeFile(join(folder, 'cut.json'), keys.slice(0, -3));
      await writeFile(join(folder, 'shifted.json'), keys.replace('"d":"', '"d":"A'));
      for (const mistake of mistakes) {
        const failure = await ServerProcess.start({ env: { ...env(), ...mistake } }).then(
          async (process) => {
            await process.stop();
            throw new Error('it started');
          },
          (error: unknown) => String(error),
        );
        expect(failure).toContain('did not become ready');
        expectNone(failure, [d!, password, server.apiKey], 'the output');
      }
    });
  });
});
