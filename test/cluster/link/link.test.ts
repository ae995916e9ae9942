import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { createServer, type Server, type Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { Link, LinkBroken } from '../../../src/cluster/link/link.ts';
import { LinkListener } from '../../../src/cluster/link/listener.ts';
import type { LinkTls } from '../../../src/cluster/link/terms.ts';
import { CallgateError, unspent } from '../../../src/errors.ts';
import type { ServerMessage, SessionMessage } from '../../../src/protocol/messages.ts';
import {
  type ClientSession,
  Elsewhere,
  type OpenRequest,
  type ResumeRequest,
  type SessionClient,
  type Sessions,
} from '../../../src/session/client.ts';
import { makeCertificates } from '../../support/certificates.ts';

const open: { close(): unknown }[] = [];
afterEach(async () => {
  for (const each of open.splice(0).reverse()) await each.close();
});

const told: string[] = [];
const note = (_: object, message: string) => void told.push(message);
const log = { warn: note, error: note, info: note };
const context = { request_id: 'req_1', peer: '203.0.113.7' };
const START: OpenRequest = {
  ...{ sessionId: 'sess_a_b_c', tokenId: 'ct_a_b', endpointId: 'ep_echo', team: 'team_a' },
  ...{ media: { audio: 'sendrecv' }, fresh: true, context },
};
const RESUME: ResumeRequest = {
  ...{ sessionId: 'sess_a_b_c', ticket: `n_a.${'x'.repeat(43)}`, fresh: false, origin: 'https://a.example', context },
};
const INFO = {
  ...{ id: 'sess_a_b_c', endpoint_id: 'ep_echo', expires_at: '2030-01-01T00:00:00.000Z', expires_in_ms: 1000 },
  ...{ ticket: 'n_a.x', grace_ms: 30_000 },
};
const OFFER: ServerMessage = { type: 'offer', offer_id: '1.1', sdp: 'v=0\r\nm=audio\r\nm=video\r\n', session: INFO };

/** The sessions at the far end: what they were asked, and by whom. */
class Far implements Sessions {
  readonly opened: OpenRequest[] = [];
  readonly resumed: ResumeRequest[] = [];
  readonly heard: (SessionMessage | string)[] = [];
  readonly clients: SessionClient[] = [];
  answer: () => Promise<void> = async () => {};

  async open(request: OpenRequest, client: SessionClient): Promise<ClientSession> {
    this.opened.push(request);
    return this.#take(client);
  }

  async resume(request: ResumeRequest, client: SessionClient): Promise<ClientSession> {
    this.resumed.push(request);
    return this.#take(client);
  }

  async #take(client: SessionClient): Promise<ClientSession> {
    this.clients.push(client);
    await this.answer();
    return {
      over: false,
      offeredSections: 0,
      receive: (message) => void this.heard.push(message),
      refuse: (message) => void this.heard.push(`refuse ${message}`),
      lost: () => void this.heard.push('lost'),
    };
  }
}

class Near implements SessionClient {
  readonly heard: (ServerMessage | number)[] = [];
  gone = false;
  send(message: ServerMessage): void {
    this.heard.push(message);
  }
  close(code: number): void {
    this.heard.push(code);
  }
}

const listenWith = async (far: Sessions, secret = 'secret'): Promise<LinkListener> => {
  const load = () => ({ capacity: 100, calls: 3, load: 0.03 });
  const listener = await LinkListener.open({
    ...{ id: 'n_far', secret, host: '127.0.0.1', port: 0, sessions: far, load, log },
  });
  open.push(listener);
  return listener;
};
const dial = (port: number, { secret = 'secret', node = 'n_far' } = {}): Link => {
  const link = new Link({ id: 'n_near', node, address: `127.0.0.1:${port}`, secret, log });
  open.push(link);
  return link;
};
const up = (link: Link) => expect.poll(() => link.load !== undefined, { timeout: 5000 }).toBe(true);
const linked = async () => {
  const far = new Far();
  const listener = await listenWith(far);
  const link = dial(listener.port);
  await up(link);
  return { far, listener, link };
};

describe('over a link', () => {
  it('a gateway hears how busy the node is', async () => {
    const { link } = await linked();
    expect(link.load).toMatchObject({ capacity: 100, calls: 3, load: 0.03 });
    expect(link.busy).toBe(false);
  });

  it('a client reaches its session, and the session its client', async () => {
    const { far, link } = await linked();
    const client = new Near();
    const session = await link.open(START, client);
    expect(far.opened).toEqual([START]);
    far.clients[0]!.send(OFFER);
    await expect.poll(() => client.heard).toEqual([OFFER]);
    expect(session!.offeredSections).toBe(2);
    session!.receive({ type: 'answer', offer_id: '1.1', sdp: 'v=0' });
    session!.refuse('too large');
    await expect.poll(() => far.heard).toEqual([{ type: 'answer', offer_id: '1.1', sdp: 'v=0' }, 'refuse too large']);
    far.clients[0]!.close(1000);
    await expect.poll(() => client.heard.at(-1)).toBe(1000);
    expect(session!.over).toBe(true);
    expect(link.streams).toBe(0);
  });

  it('what the node says before it has taken the client reaches it too', async () => {
    const { far, link } = await linked();
    const client = new Near();
    far.answer = async () => far.clients[0]!.send({ type: 'resumed', session: INFO });
    await link.resume(RESUME, client);
    expect(far.resumed).toEqual([RESUME]);
    expect(client.heard).toEqual([{ type: 'resumed', session: INFO }]);
  });

  it('a session hears that its client is gone, also before it was there', async () => {
    const { far, link } = await linked();
    const session = await link.open(START, new Near());
    session!.lost();
    await expect.poll(() => far.heard).toEqual(['lost']);
    expect(far.clients[0]!.gone).toBe(true);
  });

  it.each([
    ['a code', new CallgateError('token_used'), { code: 'token_used', retryable: false }],
    ['a code that may be tried again', unspent('at_capacity'), { code: 'at_capacity', retryable: true }],
    ['where to go instead', new Elsewhere('n_third'), { node: 'n_third', code: 'unavailable', retryable: true }],
    ['a defect without a word of it', new Error('a secret'), { code: 'unavailable', retryable: false }],
  ])('a refusal comes as %s', async (_, error, expected) => {
    const { far, link } = await linked();
    far.answer = () => Promise.reject(error);
    const refusal = await link.open(START, new Near()).catch((refusal: unknown) => refusal);
    expect(refusal).toMatchObject(expected);
    expect(String(refusal)).not.toContain('a secret');
    expect(link.streams).toBe(0);
  });

  it('everyone on it comes back when it breaks, and the sessions hear of it', async () => {
    const { far, listener, link } = await linked();
    const client = new Near();
    await link.open(START, client);
    far.answer = () => new Promise(() => {});
    const waiting = link.open(START, new Near());
    await expect.poll(() => far.clients.length).toBe(2);
    const broken = expect(waiting).rejects.toBeInstanceOf(LinkBroken);
    await listener.close();
    await broken;
    expect(client.heard).toEqual([1012]);
    await expect.poll(() => far.heard).toEqual(['lost']);
    expect(link.load).toBeUndefined();
    await expect(link.open(START, new Near())).rejects.toMatchObject({ code: 'unavailable', retryable: true });
    await expect.poll(() => link.refused, { timeout: 3000 }).toBe(true);
  });

  it('a node that comes up again at its address is linked again', async () => {
    const { far, listener, link } = await linked();
    const { port } = listener;
    await listener.close();
    await expect.poll(() => link.load).toBeUndefined();
    const load = () => ({ capacity: 1, calls: 0, load: 0 });
    open.push(
      await LinkListener.open({ id: 'n_far', secret: 'secret', host: '127.0.0.1', port, sessions: far, load, log }),
    );
    await up(link);
  });
});

describe('over TLS', () => {
  const certificates = async () => {
    const made = await makeCertificates();
    open.push({ close: () => made.remove() });
    const [ca, cert, key] = await Promise.all([made.ca, made.cert, made.key].map((path) => readFile(path)));
    return { ca: ca!, cert: cert!, key: key! };
  };
  const listen = async (tls: LinkTls) => {
    const far = new Far();
    const load = () => ({ capacity: 1, calls: 0, load: 0 });
    const options = { id: 'n_far', secret: 'secret', host: '127.0.0.1', port: 0, tls, sessions: far, load, log };
    const listener = await LinkListener.open(options);
    open.push(listener);
    return { far, listener };
  };
  const dialWith = (port: number, tls?: LinkTls) => {
    const link = new Link({ id: 'n_near', node: 'n_far', address: `127.0.0.1:${port}`, secret: 'secret', tls, log });
    open.push(link);
    return link;
  };

  it('both ends show a certificate of the same authority', async () => {
    const tls = await certificates();
    const { far, listener } = await listen(tls);
    const link = dialWith(listener.port, tls);
    await up(link);
    await link.open(START, new Near());
    expect(far.opened).toEqual([START]);
  });

  it('who shows one of another, or none, is refused', async () => {
    const { listener } = await listen(await certificates());
    const links = [dialWith(listener.port, await certificates()), dialWith(listener.port)];
    await new Promise((resolve) => setTimeout(resolve, 700));
    for (const link of links) expect(link.load).toBeUndefined();
    expect(listener.size).toBe(0);
  });
});

describe('no link comes up', () => {
  const stays = async (link: Link) => {
    await new Promise((resolve) => setTimeout(resolve, 700));
    expect(link.load).toBeUndefined();
  };

  it('with a gateway that does not know the secret', async () => {
    const listener = await listenWith(new Far());
    await stays(dial(listener.port, { secret: 'other' }));
    expect(listener.size).toBe(0);
  });

  it('with a process that took the address of another node', async () => {
    const listener = await listenWith(new Far());
    await stays(dial(listener.port, { node: 'n_other' }));
  });

  it('with whoever says nothing, or anything else, first', async () => {
    const listener = await listenWith(new Far());
    const ws = new WebSocket(`ws://127.0.0.1:${listener.port}/v1/link`);
    await once(ws, 'open');
    ws.send(JSON.stringify({ type: 'open', stream: 1, request: START }));
    await once(ws, 'close');
    expect(listener.size).toBe(0);
  });
});

it.each([
  ['a value that none of the messages has', { media: { audio: 'loud' as 'none' } }],
  ['no id of the session', { sessionId: undefined as unknown as string }],
])('a frame with %s ends the link', async (_, changes) => {
  const { far, link, listener } = await linked();
  await link.open({ ...START, ...changes }, new Near()).catch(() => undefined);
  expect(far.opened).toEqual([]);
  // It is made anew.
  await up(link);
  expect(listener.size).toBe(1);
});

it('a link on which nothing comes any more is dead after four seconds', { timeout: 20_000 }, async () => {
  const far = new Far();
  const listener = await listenWith(far);
  const { proxy, port, sockets } = await proxyTo(listener.port);
  open.push({ close: () => proxy.close() });
  const link = dial(port);
  await up(link);
  const client = new Near();
  await link.open(START, client);
  for (const socket of sockets) socket.pause();
  await expect.poll(() => client.heard, { timeout: 8000 }).toEqual([1012]);
  await expect.poll(() => far.heard, { timeout: 3000 }).toEqual(['lost']);
  for (const socket of sockets) socket.destroy();
});

const proxyTo = async (port: number): Promise<{ proxy: Server; port: number; sockets: Set<Socket> }> => {
  const { connect } = await import('node:net');
  const sockets = new Set<Socket>();
  const proxy = createServer((near) => {
    const far = connect(port, '127.0.0.1');
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(from);
      from.on('error', () => undefined);
      from.on('data', (data) => to.write(data));
      from.on('close', () => to.destroy());
    }
  }).listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  return { proxy, port: (proxy.address() as AddressInfo).port, sockets };
};
