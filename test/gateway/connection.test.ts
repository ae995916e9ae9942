import { EventEmitter } from 'node:events';
import { PassThrough } from 'node:stream';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { pino } from 'pino';
import { expect, it } from 'vitest';
import type { WebSocket } from 'ws';
import { loadConfig } from '../../src/config/config.ts';
import { CallgateError } from '../../src/errors.ts';
import { Connection, type ConnectionDeps } from '../../src/gateway/connection.ts';

const START = { type: 'start', endpoint_id: 'ep_a', token: 't' } as const;

it.each([
  ['the server stops', (connection: Connection) => connection.refuseUnstarted(), 'unavailable'],
  ['a second start comes', (connection: Connection) => connection.receive(JSON.stringify(START)), 'bad_message'],
])('a start is refused once, also when %s while it is looked at', async (_, happen, code) => {
  const { promise: admitted, reject: refuse } = Promise.withResolvers<never>();
  const refused: string[] = [];
  // A store that answers just then cannot be had on demand.
  const deps = {
    settings: loadConfig({}).config.admission,
    log: pino({ level: 'silent' }),
    admission: { verify: async () => ({ id: 'ct_a' }), admit: () => ({}) },
    sessions: { open: () => admitted },
    limits: { recordFailure: async () => true },
    strangers: { remove: () => {} },
    events: { refused: (each: string) => void refused.push(each) },
  } as unknown as ConnectionDeps;
  const ws = Object.assign(new EventEmitter(), { OPEN: 1, readyState: 1, bufferedAmount: 0, send() {}, close() {} });
  const client = {
    peer: { key: '127.0.0.1', loopback: true, address: '127.0.0.1' },
    origin: undefined,
    stream: new PassThrough(),
    context: { request_id: 'req_a' },
  };
  const connection = new Connection(ws as unknown as WebSocket, client as never, deps);
  connection.start(START);
  happen(connection);
  refuse(new CallgateError('token_used'));
  await nextTurn();
  expect(refused).toEqual([code]);
});
