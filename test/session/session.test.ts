import { setImmediate as nextTurn } from 'node:timers/promises';
import { pino } from 'pino';
import { describe, expect, it } from 'vitest';
import type { Endpoint } from '../../src/directory/directory.ts';
import { CallgateError } from '../../src/errors.ts';
import type { CallListener, MediaCall } from '../../src/media/media.ts';
import type { ServerMessage } from '../../src/protocol/messages.ts';
import { Session } from '../../src/session/session.ts';
import { TaskQueue } from '../../src/session/task-queue.ts';
import { firstTickets, hashOf, ticketText } from '../../src/session/tickets.ts';
import type { HeldSession } from '../../src/store/store.ts';

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
  allowedOrigins: ['https://app.example'],
};

const FIRST = firstTickets('A'.repeat(43));
const lease = { tokenId: 'ct_a', endpointId: 'ep_a', sessionId: 'sess_a', node: 'n_aaaaaaaa', epoch: 1 };

/** A client that keeps what it is told. */
class FakeClient {
  readonly told: (ServerMessage | number)[] = [];
  gone = false;

  send(message: ServerMessage): void {
    this.told.push(message);
  }

  close(code: number): void {
    this.told.push(code);
  }

  get types(): unknown[] {
    return this.told.map((each) => (typeof each === 'number' ? each : each.type === 'error' ? each.code : each.type));
  }
}

interface Options {
  tasks?: TaskQueue;
  fresh?: boolean;
  graceMs?: number;
  save?: (session: HeldSession) => Promise<void>;
}

/** A session on a media side that opens a call, or none. */
function makeSession({ tasks = new TaskQueue(), fresh = false, graceMs = 1000, save = async () => {} }: Options = {}) {
  const ended = Promise.withResolvers<string>();
  const opening = Promise.withResolvers<MediaCall>();
  const client = new FakeClient();
  const media = { reservations: 1, opened: 0, listener: undefined as CallListener | undefined };
  const events: string[] = [];
  const session = new Session(
    {
      lease,
      endpoint,
      remainingMs: 60_000,
      startedAt: Date.now(),
      expiresAt: Date.now() + 60_000,
      resume: { media: {}, fresh, participant: 'p_a' },
      reservation: { id: '1', release: () => media.reservations-- },
      tickets: FIRST,
      adopted: false,
    },
    {
      media: {
        ready: true,
        reserve: async () => {
          media.reservations += 1;
          return { id: '2', release: () => media.reservations-- };
        },
        open: (_spec, _id, listener) => {
          media.opened += 1;
          media.listener = listener;
          return opening.promise;
        },
        close: async () => {},
      },
      store: { releasePlace: async () => {}, save, leave: async () => true, read: async () => undefined },
      applications: {
        open: () => {
          throw new Error('no application answers');
        },
      },
      finisher: { finish: async () => true },
      deadlines: {
        answer: 1000,
        connect: 1000,
        reoffer: 1000,
        grace: graceMs,
        rehome: 1000,
        unreachable: 1000,
        settle: 1000,
      },
      log: pino({ level: 'silent' }),
      tasks,
      observer: {
        live: () => events.push('live'),
        pinned: () => events.push('pinned'),
        resumed: () => events.push('resumed'),
        rehomed: () => events.push('rehomed'),
        ended: (_, reason) => ended.resolve(reason),
        stored: (reason) => events.push(`stored ${reason}`),
        left: () => ended.resolve('left'),
      },
    },
  );
  session.attach(client);
  const offer = (id: string) => media.listener?.offer({ id, sdp: 'v=0', sections: 1 });
  return { session, client, told: client.told, ended: ended.promise, media, opening, events, offer };
}

/** Presents a ticket, as the newest client. */
const resume = (session: Session, secret: string, more: { origin?: string; client?: FakeClient } = {}) => {
  const { client = new FakeClient(), origin } = more;
  const context = { request_id: 'req_b', peer: '127.0.0.1' };
  const request = { sessionId: 'sess_a', ticket: ticketText(lease.node, secret), fresh: true, origin, context };
  return { client, attachment: session.resume(request, client) };
};
const ticketOf = ({ told }: FakeClient): string => {
  const resumed = told.find((message) => typeof message !== 'number' && message.type === 'resumed');
  if (typeof resumed !== 'object' || resumed.type !== 'resumed') throw new Error('not resumed');
  return resumed.session.ticket.split('.')[1]!;
};

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
    const { session, ended, media } = makeSession({ tasks: busy() });
    session.begin();
    session.endInTurn('server_shutdown');
    expect(session.over).toBe(false);
    media.listener?.lost();
    expect(await ended).toBe('server_shutdown');
  });

  it('when its call cannot be opened before its turn', async () => {
    const { session, ended, opening } = makeSession({ tasks: busy() });
    session.begin();
    session.endInTurn('server_shutdown');
    opening.reject(new Error('the worker is gone'));
    expect(await ended).toBe('server_shutdown');
  });

  it('unless the client hangs up first', async () => {
    const { session, ended } = makeSession({ tasks: busy() });
    session.begin();
    session.endInTurn('server_shutdown');
    session.receive({ type: 'hangup' });
    expect(await ended).toBe('completed');
  });

  it('and ends without any of these', async () => {
    const { session, ended } = makeSession({ tasks: busy() });
    session.begin();
    session.endInTurn('flow_closed');
    expect(await ended).toBe('flow_closed');
  });
});

describe('a session whose client comes back', () => {
  it('talks to the newest one alone, and hears of its loss alone', async () => {
    const { session, client, ended, offer } = makeSession();
    session.begin();
    offer('1.1');
    const first = session.attachment;
    const { client: second, attachment } = resume(session, FIRST.secret);
    await attachment;
    expect(client.types).toEqual(['offer', 'session_gone', 4410]);
    first?.receive({ type: 'hangup' });
    first?.lost();
    expect([first?.over, session.over]).toEqual([true, false]);
    session.end('revoked');
    expect(await ended).toBe('revoked');
    expect(second.types).toEqual(['resumed', 'offer', 'ended', 1000]);
  });

  it('gives the one whose answer was lost the same next ticket, and the newest wins', async () => {
    const { session, offer } = makeSession();
    session.begin();
    offer('1.1');
    const one = resume(session, FIRST.secret);
    const two = resume(session, FIRST.secret);
    expect((await one.attachment).over).toBe(true);
    await two.attachment;
    expect(one.client.types).toEqual(['session_gone', 4410]);
    const three = resume(session, FIRST.secret);
    await three.attachment;
    expect(ticketOf(three.client)).toBe(ticketOf(two.client));
  });

  it('ends over a ticket that is older than the one before', async () => {
    const { session, client, ended, offer, events } = makeSession();
    session.begin();
    offer('1.1');
    const two = resume(session, FIRST.secret);
    await two.attachment;
    await resume(session, ticketOf(two.client)).attachment;
    const { attachment } = resume(session, FIRST.secret);
    await expect(attachment).rejects.toMatchObject({ code: 'session_gone' });
    expect(await ended).toBe('ticket_reused');
    expect(client.types).toEqual(['offer', 'session_gone', 4410]);
    expect(events).toEqual(['resumed', 'resumed', 'stored ticket_reused']);
  });

  it('is not disturbed by a guess, nor by a page of another origin', async () => {
    const { session, client, offer } = makeSession();
    session.begin();
    offer('1.1');
    await expect(resume(session, 'B'.repeat(43)).attachment).rejects.toMatchObject({ code: 'session_gone' });
    const elsewhere = resume(session, FIRST.secret, { origin: 'https://other.example' });
    await expect(elsewhere.attachment).rejects.toMatchObject({ code: 'origin_denied', retryable: true });
    expect(client.types).toEqual(['offer']);
    await resume(session, FIRST.secret, { origin: 'https://app.example' }).attachment;
    session.end('completed');
  });

  it('tells it only once its ticket is stored, or soon after', async () => {
    const stored = Promise.withResolvers<void>();
    const saved: HeldSession[] = [];
    const save = (session: HeldSession) => {
      saved.push(session);
      return stored.promise;
    };
    const { session, offer } = makeSession({ save });
    session.begin();
    offer('1.1');
    const { client, attachment } = resume(session, FIRST.secret);
    await nextTurn();
    expect(client.types).toEqual([]);
    stored.resolve();
    await attachment;
    expect(client.types).toEqual(['resumed', 'offer']);
    expect(saved[0]?.tickets).toEqual([hashOf(ticketOf(client)), ...FIRST.hashes]);
    session.end('completed');
  });

  it.each([
    ['refuses it', () => Promise.reject(new CallgateError('unavailable'))],
    ['does not answer', () => new Promise<void>(() => {})],
  ])('takes it although the store %s', async (_, save) => {
    const { session, offer } = makeSession({ save });
    session.begin();
    offer('1.1');
    const { client, attachment } = resume(session, FIRST.secret);
    await attachment;
    expect(client.types).toEqual(['resumed', 'offer']);
    session.end('completed');
  });

  it('ends when it stays away', async () => {
    const { session, ended, offer } = makeSession({ graceMs: 20 });
    session.begin();
    offer('1.1');
    session.attachment?.lost();
    expect(session.over).toBe(false);
    expect(await ended).toBe('client_lost');
  });
});

describe('a session whose worker is lost', () => {
  it('reserves and opens anew, and lets go of what comes too late', async () => {
    const { session, media, opening, ended, client, offer } = makeSession({ fresh: true });
    session.begin();
    offer('1.1');
    media.listener?.lost();
    await expect.poll(() => media.opened).toBe(2);
    media.listener?.offer({ id: '1.2', sdp: 'v=0', sections: 1 });
    expect(client.told.at(-1)).toMatchObject({ type: 'offer', offer_id: '1.2', fresh: true });
    session.end('completed');
    await ended;
    let closed = 0;
    opening.resolve({ close: () => closed++ } as Partial<MediaCall> as MediaCall);
    await nextTurn();
    expect(closed).toBe(2);
  });
});

it('a session that another node holds lets go of everything and stores no end', async () => {
  const { session, client, ended, events, offer } = makeSession();
  session.begin();
  offer('1.1');
  session.leave();
  expect(await ended).toBe('left');
  expect(client.types).toEqual(['offer', 1012]);
  expect(events).toEqual([]);
});
