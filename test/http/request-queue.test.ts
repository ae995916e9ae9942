import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { RequestQueue } from '../../src/http/request-queue.ts';
import { exchange } from '../support/api.ts';

const LARGE = Buffer.alloc(2 ** 20, 'x');
const get = (path: string, more = '') => `GET ${path} HTTP/1.1\r\nhost: x\r\n${more}\r\n`;
const post = (path: string, body: string) =>
  `POST ${path} HTTP/1.1\r\nhost: x\r\ncontent-length: ${body.length}\r\n\r\n${body}`;
const LAST = get('/last', 'connection: close\r\n');

describe('requests on one connection', () => {
  let server: Server;
  let queue: RequestQueue;
  const open: Socket[] = [];
  const warnings: object[] = [];
  afterEach(async () => {
    for (const socket of open.splice(0)) socket.destroy();
    server.closeAllConnections();
    server.close();
    await once(server, 'close');
  });

  const start = async (
    serve: (request: IncomingMessage, response: ServerResponse) => void,
    { answerMs, hideParser = false }: { answerMs?: number; hideParser?: boolean } = {},
  ): Promise<number> => {
    server = createServer();
    server.on('connection', (socket) => hideParser && socket.removeAllListeners('data'));
    queue = new RequestQueue({ warn: (fields) => void warnings.push(fields) }, answerMs);
    queue.attach(server, serve);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return (server.address() as AddressInfo).port;
  };
  const dial = async (port: number): Promise<Socket> => {
    const socket = connect(port, '127.0.0.1');
    socket.on('error', () => {});
    open.push(socket);
    await once(socket, 'connect');
    return socket;
  };

  it('are served one after another, in their order, with their bodies', async () => {
    let atOnce = 0;
    let most = 0;
    const port = await start(async (request, response) => {
      atOnce++;
      most = Math.max(most, atOnce);
      let body = '';
      for await (const chunk of request.setEncoding('latin1')) body += chunk;
      await nextTurn();
      response.once('close', () => atOnce--).end(`[${request.url} ${body.length}]`);
    });
    const requests = Array.from({ length: 300 }, (_, i) =>
      i % 3 === 0 ? post(`/${i}`, '\r\n\r\n'.repeat(i * 10)) : get(`/${i}`),
    );
    const text = await exchange(port, requests.join('') + LAST);
    expect(warnings).toEqual([]);
    const expected = requests.map((_, i) => `[/${i} ${i % 3 === 0 ? i * 40 : 0}]`);
    expect(text.match(/\[.*?\]/g)).toEqual([...expected, '[/last 0]']);
    expect(most).toBe(1);
  });

  it('wait while an answer is not taken, and others are served', async () => {
    let served = 0;
    const port = await start((_, response) => {
      served++;
      response.end(LARGE);
    });
    for (let i = 0; i < 5; i++) (await dial(port)).pause().write(get('/').repeat(1000));
    const [other] = await Promise.all([exchange(port, LAST), exchange(port, LAST)]);
    expect(other).toContain('200 OK');
    // What the kernel takes for the client does not count as unread.
    expect(served).toBeLessThan(200);
  });

  it('come after those of another connection that were there first', async () => {
    const order: string[] = [];
    const port = await start((request, response) => {
      order.push(request.url ?? '');
      response.end();
    });
    const [flood, other] = [await dial(port), await dial(port)];
    flood.resume().write(get('/flood').repeat(2000));
    other.resume().write(get('/other'));
    await expect.poll(() => order.length, { timeout: 10_000 }).toBe(2001);
    // As much of the flood as is parsed at a time was there before it.
    expect(order.indexOf('/other')).toBeLessThan(100);
  });

  it('come after a little of a body of another connection that is there already', async () => {
    let chunks = 0;
    const before = Promise.withResolvers<number>();
    const port = await start((request, response) => {
      if (request.url === '/other') before.resolve(chunks);
      request.on('data', () => chunks++).on('end', () => response.end());
    });
    const [flood, other] = [await dial(port), await dial(port)];
    flood.write(get('/flood', 'transfer-encoding: chunked\r\n') + '1\r\nx\r\n'.repeat(100_000));
    other.write(get('/other'));
    expect(await before.promise).toBeLessThan(5000);
  });

  it('end with the connection when an answer is not taken in time', async () => {
    const closed = Promise.withResolvers<void>();
    const port = await start(
      (request, response) => {
        request.socket.once('close', closed.resolve);
        response.end(LARGE);
      },
      { answerMs: 300 },
    );
    (await dial(port)).pause().write(get('/').repeat(100));
    await closed.promise;
  });

  it('are followed by no other answer when what comes behind is none', async () => {
    const port = await start(async (_, response) => {
      await nextTurn();
      response.end('answered');
    });
    server.on('clientError', (_error, socket) => {
      if (!queue.stop(socket as Socket)) socket.end('HTTP/1.1 400 Bad Request\r\n\r\n');
    });
    for (const request of [post('/', 'body'), get('/')]) {
      const text = await exchange(port, `${request}junk\r\n\r\n${get('/')}`);
      expect(text.match(/HTTP\/1\.1 \d+/g)?.[0]).toBe('HTTP/1.1 200');
      expect(text).toContain('answered');
    }
    expect(await exchange(port, 'junk\r\n\r\n')).toBe('HTTP/1.1 400 Bad Request\r\n\r\n');
  });

  it('that are sent slowly or in one piece are the same', async () => {
    const port = await start((request, response) => void response.end(request.url));
    const socket = await dial(port);
    let text = '';
    socket.on('data', (data) => {
      text += data;
    });
    for (const byte of get('/slow') + post('/body', 'abc')) {
      socket.write(byte);
      await nextTurn();
    }
    await expect.poll(() => text).toContain('/body');
    expect(text).toContain('/slow');
  });

  it.each([1, 3, 23, 24, 500])(
    'are answered, %i of them, when the client has said that it sends no more',
    async (count) => {
      const port = await start(async (_, response) => {
        await nextTurn();
        response.end();
      });
      const socket = await dial(port);
      let text = '';
      socket.on('data', (data) => {
        text += data;
      });
      socket.end(get('/').repeat(count));
      await once(socket, 'close');
      expect(text.match(/HTTP\/1\.1 200/g)).toHaveLength(count);
    },
  );

  it('before a CONNECT are answered, then it, and nothing behind it', async () => {
    const port = await start(async (request, response) => {
      await nextTurn();
      response.end(`[${request.method}]`);
    });
    const text = await exchange(
      port,
      `${post('/', 'body')}${get('/')}CONNECT a:1 HTTP/1.1\r\nhost: a\r\n\r\n${get('/')}`,
    );
    expect(text.match(/\[.*?\]/g)).toEqual(['[POST]', '[GET]', '[CONNECT]']);
  });

  it('leave to a WebSocket what came behind its handshake', async () => {
    const port = await start((_, response) => void response.end());
    const received = new Promise<string>((resolve) => {
      server.on('upgrade', (_, socket, head) => {
        let text = '';
        if (head.length > 0) socket.unshift(head);
        socket.on('data', (data: Buffer) => {
          text += data;
          if (text.endsWith('end')) {
            resolve(text);
            socket.destroy();
          }
        });
      });
    });
    const frames = `${Array.from({ length: 2000 }, (_, i) => i).join(' ')} end`;
    const upgrade = get('/', 'connection: upgrade\r\nupgrade: websocket\r\n');
    (await dial(port)).resume().write(get('/before') + upgrade + frames);
    expect(await received).toBe(frames);
  });

  it('are served as Node parses them where its parser is not found, and it is warned once', async () => {
    const port = await start((request, response) => void response.end(`[${request.url}]`), { hideParser: true });
    expect((await exchange(port, get('/1') + get('/2') + LAST)).match(/\[.*?\]/g)).toEqual(['[/1]', '[/2]', '[/last]']);
    expect(warnings).toEqual([{ library: 'Node', hook: 'requests in turn' }]);
  });
});
