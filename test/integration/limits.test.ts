import { setTimeout as delay, setImmediate as nextTurn } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { frame, OPCODES, RawClient } from '../support/raw-client.ts';
import { allFree, errorsOf, hangUp, refusalOf, WAYS, win } from '../support/scenario.ts';
import { TestServer, type TestServerOptions } from '../support/server.ts';
import { earlyStart, startCall, TestSocket } from '../support/ws-client.ts';

const withServer = async (options: TestServerOptions, use: (server: TestServer) => Promise<void>): Promise<void> => {
  const server = await TestServer.start(options);
  try {
    await use(server);
    await allFree(server);
  } finally {
    await server.stop();
  }
};

const admission = (changes: NonNullable<TestServerOptions['config']>['admission']) => ({
  config: { admission: { ...changes } },
});

const BAD_MESSAGE = { code: 'bad_message', retryable: false, close: 4400 };

describe('one server', () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await TestServer.start({ config: { session: { grace_ms: 300 } } });
  });
  afterAll(() => server?.stop());

  const open = () => TestSocket.open(server.wsUrl);

  describe('a first frame is bad_message', () => {
    it.each<[what: string, frame: string | Buffer]>([
      ['that is an answer', '{"type":"answer","offer_id":"1","sdp":"v=0"}'],
      ['that is a hang-up', '{"type":"hangup"}'],
      ['that asks for media', '{"type":"media","media":{}}'],
      ['that is binary', Buffer.from('{"type":"start","endpoint_id":"ep_echo","token":"x"}')],
      ['that is empty', ''],
      ['that is not JSON', '{"type":"start"'],
      ['that is a list', '[{"type":"start","endpoint_id":"ep_echo","token":"x"}]'],
      ['that is null', 'null'],
      ['that is a number', '1'],
      ['without a type', '{"endpoint_id":"ep_echo","token":"x"}'],
      ['of an unknown type', '{"type":"constructor"}'],
      ['whose type is a list', '{"type":["start"]}'],
      ['with a token that is a number', '{"type":"start","endpoint_id":"ep_echo","token":1}'],
      ['with a field __proto__', '{"type":"start","endpoint_id":"ep_echo","token":"x","__proto__":{}}'],
      ['with an unknown kind', '{"type":"start","endpoint_id":"ep_echo","token":"x","media":{"screen":"sendonly"}}'],
      ['with an unknown direction', '{"type":"start","endpoint_id":"ep_echo","token":"x","media":{"audio":"both"}}'],
      ['with a malformed fingerprint', '{"type":"start","endpoint_id":"ep_echo","token":"x","dtls_fingerprint":"AA"}'],
      ['of 17 KiB', `{"type":"start","endpoint_id":"ep_echo","token":"${'x'.repeat(17 * 1024)}"}`],
      ['of 600 KiB', 'x'.repeat(600 * 1024)],
      ['of 5 MiB', 'x'.repeat(5 * 1024 * 1024)],
      ['of 100,000 brackets', '['.repeat(15_000)],
    ])('%s', async (_, data) => {
      const socket = await open();
      socket.sendRaw(data);
      expect(await refusalOf(socket)).toEqual(BAD_MESSAGE);
    });
  });

  describe('a frame that breaks RFC 6455 is bad_message', () => {
    it.each<[what: string, bytes: Buffer]>([
      ['text that is not UTF-8', frame(Buffer.from([0x7b, 0xff, 0xfe, 0x7d]))],
      ['an unmasked frame', frame('{}', { mask: false })],
      ['a reserved bit', frame('{}', { rsv: 4 })],
      ['an unknown opcode', frame('{}', { opcode: 3 })],
      ['a continuation of nothing', frame('{}', { opcode: OPCODES.continuation })],
      ['a ping that is too long', frame('x'.repeat(126), { opcode: OPCODES.ping })],
      ['a thousand fragments', Buffer.concat(Array.from({ length: 1000 }, (_, i) => frame('x', fragment(i))))],
    ])('%s', async (_, bytes) => {
      const client = await RawClient.upgrade(server.running.url);
      client.write(bytes);
      await client.closed;
      expect(client.text.match(/"type":"error"/g)).toHaveLength(1);
      expect(client.text).toContain('"code":"bad_message"');
      expect(client.text).toContain(closeFrame(4400));
    });

    it('a frame that comes byte by byte without an end', async () => {
      const client = await RawClient.upgrade(server.running.url);
      client.write(frame('x'.repeat(100_000)).subarray(0, 14));
      for (let sent = 0; client.open && sent < 50_000; sent++) {
        client.write('x');
        await nextTurn();
      }
      await client.closed;
      expect(client.text).toContain('"code":"bad_message"');
    });

    it('but fragments of a start are a start', async () => {
      const { token } = await server.mint('ep_echo');
      const text = JSON.stringify({ type: 'start', endpoint_id: 'ep_echo', token });
      const client = await RawClient.upgrade(server.running.url);
      client.write(frame(text.slice(0, 20), { fin: false }));
      client.write(frame('', { opcode: OPCODES.ping }));
      client.write(frame(text.slice(20), { opcode: OPCODES.continuation }));
      await expect.poll(() => client.text, { timeout: 10_000 }).toContain('"type":"offer"');
      client.destroy();
      await client.closed;
    });

    it('and a client that closes by itself hears no error', async () => {
      for (const code of [1000, 1001, 1008, 3000]) {
        const socket = await open();
        await socket.close(code);
        expect(socket.messages).toEqual([]);
      }
    });
  });

  it('refuses a second start of a running call and ends it as client_lost', async () => {
    const minted = await server.mint('ep_echo');
    const socket = await win(server, minted);
    socket.send({ type: 'start', endpoint_id: 'ep_echo', token: minted.token });
    expect(await socket.expect('error')).toMatchObject({ code: 'bad_message', retryable: false });
    expect((await socket.closing()).code).toBe(4400);
    await expect.poll(async () => (await server.read(minted.id)).session?.end_reason).toBe('client_lost');
  });

  it('upgrades on /v1/connect only', async () => {
    const base = server.running.url.replace('http', 'ws');
    for (const path of ['/', '/v1/connect/', '/v1/call-tokens', '/V1/CONNECT', '/v1/%63onnect']) {
      await expect(TestSocket.open(base + path)).rejects.toThrow('404');
    }
    const socket = await TestSocket.open(`${server.wsUrl}?anything=1`);
    await socket.close();
  });

  it.each([
    ['an old version', ['Sec-WebSocket-Version: 8'], 426, /\r\nsec-websocket-version: 13\r\n/],
    ['no version', [], 426, /\r\nupgrade: websocket\r\n/],
    ['two Host fields', ['Sec-WebSocket-Version: 13', 'Host: x'], 400, /"code":"request_malformed"/],
    [
      'a bad subprotocol',
      ['Sec-WebSocket-Version: 13', 'Sec-WebSocket-Protocol: a,,b'],
      400,
      /"code":"request_malformed"/,
    ],
  ])('refuses a handshake with %s, with a problem', async (_, headers, status, expected) => {
    const client = await RawClient.connect(server.running.url);
    const handshake = [
      'Host: x',
      'Connection: Upgrade',
      'Upgrade: websocket',
      'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
    ];
    client.write(`${['GET /v1/connect HTTP/1.1', ...handshake, ...headers].join('\r\n')}\r\n\r\n`);
    await client.closed;
    expect(client.text).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
    expect(client.text).toContain('content-type: application/problem+json');
    expect(client.text).toMatch(expected);
  });

  it('serves those who offer another upgrade, as HTTP clients with h2c do, as if they had not', async () => {
    const body = JSON.stringify({ endpoint_id: 'ep_echo' });
    const h2c =
      'Host: 127.0.0.1\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n';
    const mint = `Authorization: Bearer ${server.apiKey}\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n`;
    for (const [text, status] of [
      [`GET /healthz HTTP/1.1\r\n${h2c}\r\n`, '200'],
      [`POST /v1/call-tokens HTTP/1.1\r\n${h2c}${mint}\r\n${body}`, '201'],
    ] as const) {
      const client = await RawClient.connect(server.running.url);
      client.write(text);
      await expect.poll(() => client.text, { timeout: 10_000 }).toContain(`HTTP/1.1 ${status} `);
      client.destroy();
      await client.closed;
    }
  });

  it('answers a plain request on /v1/connect with a problem', async () => {
    const response = await fetch(`${server.running.url}/v1/connect`);
    expect(response.status).toBe(426);
    expect(response.headers.get('content-type')).toContain('application/problem+json');
  });

  it('refuses a client that does not speak callgate.v1 with a frame', async () => {
    const socket = await TestSocket.open(server.wsUrl, { protocols: [] });
    expect(await refusalOf(socket)).toEqual(BAD_MESSAGE);
    const client = await RawClient.connect(server.running.url);
    client.write(
      'GET /v1/connect HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n' +
        'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n' +
        'Sec-WebSocket-Protocol: graphql-ws\r\n\r\n',
    );
    await client.closed;
    expect(client.text).toMatch(/^HTTP\/1\.1 101 /);
    expect(client.text.toLowerCase()).not.toContain('sec-websocket-protocol');
    expect(client.text).toContain('"code":"bad_message"');
  });

  it('takes 20 messages a second and refuses the next ones with rate_limited', async () => {
    const minted = await server.mint('ep_echo');
    const socket = await win(server, minted);
    for (let i = 0; i < 100; i++) socket.send({ type: 'media', media: {} });
    expect(await socket.expect('error')).toMatchObject({ code: 'rate_limited', retryable: false });
    expect((await socket.closing()).code).toBe(4429);
    expect(errorsOf(socket.messages)).toHaveLength(1);
    await expect.poll(async () => (await server.read(minted.id)).session?.end_reason).toBe('client_lost');
  });

  it('keeps a call that says 15 things at once', async () => {
    const socket = await win(server, await server.mint('ep_echo'));
    for (let i = 0; i < 15; i++) socket.send({ type: 'media', media: {} });
    await hangUp(socket);
  });

  it('holds nothing in the end', () => allFree(server));
});

it('times out a start that pings, partial frames and open fragments come before', () =>
  withServer(admission({ start_timeout_ms: 1000 }), async (server) => {
    const raw = await RawClient.upgrade(server.running.url);
    raw.write(frame('{"type":"st', { fin: false }));
    const half = await RawClient.upgrade(server.running.url);
    half.write(frame('{"type":"start"}').subarray(0, 5));
    const pinging = setInterval(() => raw.open && raw.write(frame('', { opcode: OPCODES.ping })), 100);
    try {
      const silent = await TestSocket.open(server.wsUrl);
      expect(await refusalOf(silent)).toEqual({ code: 'start_timeout', retryable: true, close: 4408 });
      await Promise.all([raw.closed, half.closed]);
    } finally {
      clearInterval(pinging);
    }
    for (const { text } of [raw, half]) {
      expect(text).toContain('"code":"start_timeout"');
      expect(text).toContain(closeFrame(4408));
    }
  }));

it('caps the sockets that have shown no token, and a start frame or a close frees a place', () =>
  withServer(admission({ max_unstarted_sockets: 2 }), async (server) => {
    const full = async () => {
      const refusal = await refusalOf(await TestSocket.open(server.wsUrl));
      expect(refusal).toEqual({ code: 'at_capacity', retryable: true, close: 4429 });
    };
    const started = await win(server, await server.mint('ep_echo'));
    const [one, two] = [await TestSocket.open(server.wsUrl), await TestSocket.open(server.wsUrl)];
    await full();
    await one.close();
    const again = await openWhenFree(server, 'at_capacity');
    await full();
    again.send({ type: 'start', endpoint_id: 'ep_echo', token: (await server.mint('ep_echo')).token });
    await again.expect('offer');
    const last = await TestSocket.open(server.wsUrl);
    await full();
    await Promise.all([two.close(), last.close(), hangUp(started), hangUp(again)]);
  }));

it('looks at early starts however many sockets wait without a token', () =>
  withServer(admission({ max_unstarted_sockets: 50, start_timeout_ms: 60_000 }), async (server) => {
    const waiting = await Promise.all(Array.from({ length: 50 }, () => TestSocket.open(server.wsUrl)));
    expect((await refusalOf(await TestSocket.open(server.wsUrl))).code).toBe('at_capacity');
    const tokens = await Promise.all(Array.from({ length: 20 }, () => server.mint('ep_echo')));
    const junk = Array.from({ length: 20 }, () => ({ endpoint_id: 'ep_echo', token: 'guess' }));
    const refused = junk.map(async (start) => refusalOf(await startCall(server.wsUrl, start, { early: true })));
    const won = await Promise.all(tokens.map((token) => win(server, token, { early: true })));
    for (const refusal of await Promise.all(refused)) expect(refusal.code).toBe('token_invalid');
    await Promise.all([...won.map(hangUp), ...waiting.map((socket) => socket.close())]);
  }));

it('counts the sockets of an address, loopback only when told so', async () => {
  const limit = { sockets_per_address: 2 };
  await withServer(admission(limit), async (server) => {
    const sockets = await Promise.all([1, 2, 3, 4].map(() => TestSocket.open(server.wsUrl)));
    await hangUp(await win(server, await server.mint('ep_echo')));
    await Promise.all(sockets.map((socket) => socket.close()));
  });
  await withServer(admission({ ...limit, limit_loopback: true }), async (server) => {
    const minted = await server.mint('ep_echo');
    const [one, two] = [await TestSocket.open(server.wsUrl), await TestSocket.open(server.wsUrl)];
    const refused = { code: 'rate_limited', retryable: true, close: 4429 };
    expect(await refusalOf(await TestSocket.open(server.wsUrl))).toEqual(refused);
    const start = { endpoint_id: 'ep_echo', token: minted.token };
    expect(await refusalOf(await startCall(server.wsUrl, start, { early: true }))).toEqual(refused);
    // The documented order: what is wrong with the start itself is told first.
    const wrong = { ...start, colour: 'red' };
    expect(await refusalOf(await startCall(server.wsUrl, wrong, { early: true }))).toEqual(BAD_MESSAGE);
    await one.close();
    const free = await openWhenFree(server, 'rate_limited');
    free.send({ type: 'start', ...start });
    await free.expect('offer');
    await Promise.all([two.close(), hangUp(free)]);
  });
});

it('counts what else an address has open, and closes what is idle of it', () =>
  withServer(admission({ sockets_per_address: 3, limit_loopback: true }), async (server) => {
    const idle = await Promise.all([1, 2, 3].map(() => RawClient.connect(server.running.url)));
    for (const client of idle) {
      client.write('GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n');
      await expect.poll(() => client.text).toContain('live');
    }
    const sockets: TestSocket[] = [];
    for (let i = 0; i < 3; i++) sockets.push(await TestSocket.open(server.wsUrl));
    await Promise.all(idle.map(({ closed }) => closed));
    expect((await refusalOf(await TestSocket.open(server.wsUrl))).code).toBe('rate_limited');
    expect((await fetch(`${server.running.url}/healthz`)).status).toBe(429);
    await Promise.all(sockets.map((socket) => socket.close()));
  }));

it.each(WAYS)(
  'past its failed presentations an address hears rate_limited, but a good token wins with %s',
  (_, early) =>
    withServer(admission({ failed_presentations_per_minute: 3, limit_loopback: true }), async (server) => {
      const spent = await server.mint('ep_echo');
      await hangUp(await win(server, spent, { early }));
      const present = async (token: string, endpoint_id = 'ep_echo') =>
        refusalOf(await startCall(server.wsUrl, { endpoint_id, token }, { early }));
      for (let i = 0; i < 3; i++) expect((await present('guess')).code).toBe('token_invalid');
      expect(await present('guess')).toEqual({ code: 'rate_limited', retryable: false, close: 4429 });
      expect(await present(spent.token)).toEqual({ code: 'rate_limited', retryable: false, close: 4429 });
      const good = await server.mint('ep_echo');
      expect(await present(good.token, 'ep_audio')).toEqual({ code: 'rate_limited', retryable: true, close: 4429 });
      const resuming = await TestSocket.open(server.wsUrl);
      resuming.send({ type: 'resume', session_id: 'sess_0', ticket: 'x' });
      expect((await refusalOf(resuming)).code).toBe('rate_limited');
      await hangUp(await win(server, good, { early }));
    }),
);

it('believes as many X-Forwarded-For hops as it trusts, and no more', async () => {
  const config = { admission: { sockets_per_address: 1 } };
  const from = (server: TestServer, forwarded: string) =>
    TestSocket.open(server.wsUrl, { headers: { 'x-forwarded-for': forwarded } });
  await withServer({ config: { ...config, http: { trusted_proxies: 1 } } }, async (server) => {
    const one = await from(server, '203.0.113.7');
    expect((await refusalOf(await from(server, '203.0.113.7'))).code).toBe('rate_limited');
    // What the client wrote itself stands further left and is not believed.
    expect((await refusalOf(await from(server, '198.51.100.1, 203.0.113.7'))).code).toBe('rate_limited');
    expect((await refusalOf(await from(server, '127.0.0.1,203.0.113.7'))).code).toBe('rate_limited');
    const two = await from(server, '203.0.113.8');
    const six = await from(server, '2001:db8::1');
    expect((await refusalOf(await from(server, '2001:db8::ffff:1'))).code).toBe('rate_limited');
    const seven = await from(server, '[2001:db8:0:1::1]:4711');
    expect((await refusalOf(await from(server, '203.0.113.8:40001'))).code).toBe('rate_limited');
    const strangers = [await from(server, 'unknown'), await from(server, 'unknown'), await from(server, '<junk>')];
    await Promise.all([one, two, six, seven, ...strangers].map((socket) => socket.close()));
  });
  await withServer({ config }, async (server) => {
    const sockets = [await from(server, '203.0.113.7'), await from(server, '203.0.113.7')];
    await Promise.all(sockets.map((socket) => socket.close()));
  });
});

describe('a client that is as good as gone is dropped', () => {
  const pings = { ping_interval_ms: 300, start_timeout_ms: 60_000 };

  it('when it answers no pings', () =>
    withServer({ config: { admission: pings, session: { grace_ms: 300 } } }, async (server) => {
      const minted = await server.mint('ep_echo');
      const deaf = new WebSocket(server.wsUrl, ['callgate.v1'], { autoPong: false });
      const closed = new Promise<number>((resolve) => deaf.once('close', resolve));
      deaf.once('open', () =>
        deaf.send(JSON.stringify({ type: 'start', endpoint_id: 'ep_echo', token: minted.token })),
      );
      const listening = await TestSocket.open(server.wsUrl);
      expect(await closed).toBe(1006);
      await expect.poll(async () => (await server.read(minted.id)).session?.end_reason).toBe('client_lost');
      expect(server.running.held().sockets).toBe(1);
      await listening.close();
    }));

  it('when it does not read what it makes the server send', () =>
    withServer(admission({ max_buffered_bytes: 10_000, start_timeout_ms: 60_000 }), async (server) => {
      const client = await RawClient.upgrade(server.running.url);
      client.pause();
      const pings = Buffer.concat(Array.from({ length: 1000 }, () => frame('x'.repeat(125), { opcode: OPCODES.ping })));
      for (let sent = 0; server.running.held().sockets > 0 && sent < 64 * 2 ** 20; sent += pings.length) {
        if (!client.open) break;
        client.write(pings);
        await delay(5);
      }
      await expect.poll(() => server.running.held().sockets, { timeout: 10_000 }).toBe(0);
      client.destroy();
      await client.closed;
    }));

  it('when its headers never end, or never begin', () =>
    withServer(admission({ headers_timeout_ms: 1000 }), async (server) => {
      const slow = await RawClient.connect(server.running.url);
      const silent = await RawClient.connect(server.running.url);
      slow.write('GET /v1/connect HTTP/1.1\r\nHost: 127.0.0.1\r\n');
      const dripping = setInterval(() => slow.open && slow.write('X-More: 1\r\n'), 100);
      await Promise.all([slow.closed, silent.closed]).finally(() => clearInterval(dripping));
      expect(slow.text).not.toContain('101');
    }));
});

it('says at_capacity, and keeps the token, when the workers or a room are full', () =>
  withServer({ config: { media: { max_calls_per_worker: 3, max_room_participants: 2 } } }, async (server) => {
    const full = { code: 'at_capacity', retryable: true, close: 4429 };
    const spent = await server.mint('ep_room');
    const room = [await win(server, spent), await win(server, await server.mint('ep_room'))];
    const third = await server.mint('ep_room');
    const present = async ({ token, endpoint_id }: { token: string; endpoint_id: string }, early: boolean) =>
      refusalOf(await startCall(server.wsUrl, { endpoint_id, token }, { early }));
    for (const [, early] of WAYS) expect(await present(third, early)).toEqual(full);
    const echo = await win(server, await server.mint('ep_echo'));
    const fourth = await server.mint('ep_echo');
    for (const [, early] of WAYS) expect(await present(fourth, early)).toEqual(full);
    // retryable tells about this very token, which is spent.
    expect((await present(spent, false)).code).toBe('token_used');
    await hangUp(room[0]!);
    room[0] = await win(server, third);
    await hangUp(echo);
    await hangUp(await win(server, fourth));
    await Promise.all(room.map(hangUp));
  }));

it('keeps an early start out of what it says about a full server', () =>
  withServer({ config: { media: { max_calls_per_worker: 1 } } }, async (server) => {
    const calling = await win(server, await server.mint('ep_echo'));
    const { token } = await server.mint('ep_echo');
    const protocol = earlyStart({ type: 'start', endpoint_id: 'ep_echo', token });
    const socket = await TestSocket.open(server.wsUrl, { protocols: ['callgate.v1', protocol] });
    const { code, reason } = await socket.closing();
    expect(code).toBe(4429);
    expect(JSON.stringify(socket.messages) + reason).not.toContain(token);
    await hangUp(calling);
  }));

function fragment(index: number) {
  return { opcode: index === 0 ? OPCODES.text : OPCODES.continuation, fin: false };
}

/** A close frame with this code as it is on the wire, read as latin1. */
function closeFrame(code: number): string {
  return Buffer.from([code >> 8, code & 255]).toString('latin1');
}

/** The server hears of a close a little later than the client. */
async function openWhenFree(server: TestServer, refused: string): Promise<TestSocket> {
  for (let attempt = 0; ; attempt++) {
    const socket = await TestSocket.open(server.wsUrl);
    const first = await Promise.race([socket.closed, delay(200)]);
    if (first === undefined || attempt === 20) return socket;
    expect(errorsOf(socket.messages)).toMatchObject([{ code: refused }]);
  }
}
