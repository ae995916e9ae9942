import { pino } from 'pino';
import { describe, expect, it } from 'vitest';
import type { Endpoint } from '../../src/directory/directory.ts';
import type { CallListener, MediaCall } from '../../src/media/media.ts';
import type { ServerMessage } from '../../src/protocol/messages.ts';
import { Session } from '../../src/session/session.ts';
import { TaskQueue } from '../../src/session/task-queue.ts';
import { HELD } from '../support/held.ts';

const endpoint: Endpoint = {
  id: 'ep_a',
  team: 'team_a',
  flow: 'flow_a',
  webrtc: true,
  enabled: true,
  target: { kind: 'echo' },
  media: { audio: true, video: true, simulcast: false },
  maxSessions: 1,
  maxDurationSeconds: 60,
  allowedOrigins: ['*'],
};

/** A session on a media side that opens a call, or none. */
function makeSession(tasks = new TaskQueue()) {
  const told: (ServerMessage | number)[] = [];
  const ended = Promise.withResolvers<string>();
  const opening = Promise.withResolvers<MediaCall>();
  const media = { reservations: 1, listener: undefined as CallListener | undefined };
  const session = new Session(
    {
      lease: { ...HELD, tokenId: 'ct_a', endpointId: 'ep_a', sessionId: 'sess_a' },
      remainingMs: 60_000,
      expiresAt: Date.now() + 60_000,
      call: { endpoint, media: {} },
      reservation: { id: '1', release: () => media.reservations-- },
      ticket: 'ticket',
    },
    {
      media: {
        ready: true,
        reserve: () => Promise.reject(new Error('nobody reserves')),
        open: (_spec, _id, listener) => {
          media.listener = listener;
          return opening.promise;
        },
        close: async () => {},
      },
      store: { releasePlace: async () => {} },
      finisher: { finish: async () => {} },
      deadlines: { answer: 1000, connect: 1000, reoffer: 1000, grace: 1000, unreachable: 1000, settle: 1000 },
      log: pino({ level: 'silent' }),
      tasks,
      observer: { live: () => {}, ended: (_, reason) => ended.resolve(reason) },
    },
  );
  session.attach({ send: (message) => told.push(message), close: (code) => told.push(code) });
  return { session, told, ended: ended.promise, media, opening };
}

it('a session that ends before it begins releases its reservation and sends its end', async () => {
  const { session, told, ended, media } = makeSession();
  session.end('flow_closed');
  session.begin();
  expect(await ended).toBe('flow_closed');
  expect(media.reservations).toBe(0);
  expect(told).toEqual([{ type: 'ended', reason: 'flow_closed' }, 1000]);
});

describe('a session that is to end among many keeps its reason', () => {
  /** Others come first, so that its own turn is a later one. */
  const busy = (): TaskQueue => {
    const tasks = new TaskQueue();
    for (let task = 0; task < 100; task += 1) tasks.run(() => {});
    return tasks;
  };

  it('when its worker is lost before its turn', async () => {
    const { session, ended, media } = makeSession(busy());
    session.begin();
    session.endInTurn('server_shutdown');
    expect(session.over).toBe(false);
    media.listener?.ended('worker_lost');
    expect(await ended).toBe('server_shutdown');
  });

  it('when its call cannot be opened before its turn', async () => {
    const { session, ended, opening } = makeSession(busy());
    session.begin();
    session.endInTurn('server_shutdown');
    opening.reject(new Error('the worker is gone'));
    expect(await ended).toBe('server_shutdown');
  });

  it('unless the client hangs up first', async () => {
    const { session, ended } = makeSession(busy());
    session.begin();
    session.endInTurn('server_shutdown');
    session.receive({ type: 'hangup' });
    expect(await ended).toBe('completed');
  });

  it('and ends without any of these', async () => {
    const { session, ended } = makeSession(busy());
    session.begin();
    session.endInTurn('flow_closed');
    expect(await ended).toBe('flow_closed');
  });
});

it('hears of the loss of its present client alone, and talks to nobody else', async () => {
  const { session, told, ended } = makeSession();
  const before: unknown[] = [];
  const first = { send: (message: unknown) => before.push(message), close: (code: unknown) => before.push(code) };
  const second = { send: (message: ServerMessage) => told.push(message), close: (code: number) => told.push(code) };
  session.attach(first);
  session.begin();
  session.attach(second);
  session.lost(first);
  expect(session.over).toBe(false);
  session.end('revoked');
  expect(await ended).toBe('revoked');
  expect([before, told]).toEqual([[], [{ type: 'ended', reason: 'revoked' }, 1000]]);
});
