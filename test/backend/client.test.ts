import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { inspect } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CallgateApiError, type CallgateClient, createClient } from '../../src/backend/index.ts';
import { KEY, READ_ONLY, startApi, type TestApi } from '../support/api.ts';

describe('with a running server', () => {
  let api: TestApi;
  let callgate: CallgateClient;
  beforeAll(async () => {
    api = await startApi();
    callgate = createClient({ url: api.url, apiKey: KEY });
  });
  afterAll(() => api[Symbol.asyncDispose]());

  it('mints, reads, lists, refreshes and revokes', async () => {
    const minted = await callgate.mint({ endpoint_id: 'ep_echo', ttl_seconds: 30, metadata: { caller: 'alice' } });
    expect(minted).toMatchObject({ endpoint_id: 'ep_echo', status: 'issued', ws_url: expect.stringMatching(/^ws:/) });
    expect(await callgate.read(minted.id)).toMatchObject({ status: 'issued', metadata: { caller: 'alice' } });
    const successor = await callgate.refresh(minted.id, { ttl_seconds: 60 });
    expect(await callgate.read(minted.id)).toMatchObject({ status: 'revoked' });
    await callgate.revoke(successor.id);
    const { data } = await callgate.list({ status: 'revoked', limit: 2 });
    expect(data.map(({ id }) => id)).toEqual([successor.id, minted.id]);
  });

  it('gives the same token for the same idempotency key, and another one for another call', async () => {
    const request = { endpoint_id: 'ep_echo' };
    const [first, again] = [
      await callgate.mint(request, { idempotencyKey: 'order-1' }),
      await callgate.mint(request, { idempotencyKey: 'order-1' }),
    ];
    expect(again.id).toBe(first.id);
    expect((await callgate.mint(request)).id).not.toBe(first.id);
  });

  it('says in code, status and request id why a call failed', async () => {
    const error = await failureOf(callgate.mint({ endpoint_id: 'ep_paused' }));
    expect(error).toMatchObject({ code: 'flow_not_live', status: 409, retryable: false });
    expect(error.requestId).toMatch(/^req_/);
    expect(await failureOf(callgate.read('ct_none'))).toMatchObject({ code: 'token_not_found', status: 404 });
  });

  it('never shows the key or a token in what it throws', async () => {
    const readOnly = createClient({ url: api.url, apiKey: READ_ONLY });
    expect(inspect(await failureOf(readOnly.mint({ endpoint_id: 'ep_echo' })), { depth: 9 })).not.toContain('secret');
    const shown = (act: () => unknown): string => {
      try {
        act();
      } catch (error) {
        return inspect(error);
      }
      throw new Error('nothing was thrown');
    };
    for (const apiKey of ['cgk_a_hunter2\n', 'hunter2', '']) {
      expect(shown(() => createClient({ url: api.url, apiKey }))).not.toContain('hunter2');
    }
    for (const url of ['http://user:secret@host/', 'host/secret', 'ftp://secret']) {
      expect(shown(() => createClient({ url, apiKey: KEY }))).not.toContain('secret');
    }
  });
});

describe('with a server that fails', () => {
  it.each([429, 503])('tries again after %i and Retry-After, with the same idempotency key', async (status) => {
    await using server = await scripted([(answer) => problem(answer, status, 0), minted]);
    await expect(server.client.mint({ endpoint_id: 'ep_echo' })).resolves.toEqual({ id: 'ct_1' });
    expect(server.keys).toHaveLength(2);
    expect(new Set(server.keys).size).toBe(1);
    expect(server.keys[0]).toMatch(/^[0-9a-f-]{36}$/);
  });

  it('tries again when the connection breaks', async () => {
    await using server = await scripted([(answer) => answer.destroy(), minted]);
    await expect(server.client.refresh('ct_0')).resolves.toEqual({ id: 'ct_1' });
    expect(new Set(server.keys).size).toBe(1);
  });

  it('gives up at once when Retry-After leaves no time', async () => {
    await using server = await scripted([(answer) => problem(answer, 429, 60)]);
    const error = await failureOf(server.client.mint({ endpoint_id: 'ep_echo' }));
    expect(error).toMatchObject({ code: 'rate_limited', status: 429, retryAfter: 60, retryable: true });
    expect(server.keys).toHaveLength(1);
  });

  it('gives up after four tries', async () => {
    await using server = await scripted([(answer) => problem(answer, 503, 0)]);
    expect(await failureOf(server.client.list())).toMatchObject({ status: 503, retryable: true });
    expect(server.keys).toHaveLength(4);
  });

  it('does not repeat what was refused for good', async () => {
    await using server = await scripted([(answer) => problem(answer, 409)]);
    expect(await failureOf(server.client.revoke('ct_0'))).toMatchObject({ status: 409, retryable: false });
    expect(server.keys).toHaveLength(1);
  });

  it('bounds a call that is never answered', async () => {
    await using server = await scripted([() => undefined], 100);
    expect(await failureOf(server.client.read('ct_0'))).toMatchObject({ code: 'unreachable', status: 0 });
  });

  it('follows no redirect', async () => {
    await using server = await scripted([
      (answer) => answer.writeHead(307, { location: 'http://127.0.0.1:1/' }).end(),
      minted,
    ]);
    await server.client.read('ct_0');
    expect(server.keys).toHaveLength(2);
  });

  it.each([
    ['a page of a proxy', (answer: ServerResponse) => answer.writeHead(404).end('<h1>Not found</h1>'), 404],
    ['a success that is no JSON', (answer: ServerResponse) => answer.writeHead(200).end('<h1>Hello</h1>'), 200],
  ])('names %s for what it is', async (_what, step, status) => {
    await using server = await scripted([step]);
    expect(await failureOf(server.client.read('ct_0'))).toMatchObject({ code: 'unexpected_answer', status });
  });
});

type Step = (answer: ServerResponse) => unknown;

const minted: Step = (answer) => answer.writeHead(201, { 'content-type': 'application/json' }).end('{"id":"ct_1"}');

const problem = (answer: ServerResponse, status: number, retryAfter?: number): unknown =>
  answer
    .writeHead(status, {
      'content-type': 'application/problem+json',
      ...(retryAfter !== undefined && { 'retry-after': String(retryAfter) }),
    })
    .end(JSON.stringify({ code: status === 429 ? 'rate_limited' : 'unavailable', title: 'no', request_id: 'req_1' }));

/** A server that answers one request after the other as told, and then always as the last time. */
async function scripted(steps: Step[], timeoutMs = 5000) {
  const keys: unknown[] = [];
  const server = createServer((request: IncomingMessage, answer) => {
    keys.push(request.headers['idempotency-key']);
    steps[Math.min(keys.length, steps.length) - 1]?.(answer);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    keys,
    client: createClient({ url: `http://127.0.0.1:${port}`, apiKey: KEY, timeoutMs }),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

async function failureOf(call: Promise<unknown>): Promise<CallgateApiError> {
  const error = await call.then(
    () => undefined,
    (error: unknown) => error,
  );
  if (error instanceof CallgateApiError) return error;
  throw new Error('the call did not fail as it should', { cause: error });
}
