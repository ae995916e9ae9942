import { pino } from 'pino';
import { describe, expect, it } from 'vitest';
import type { Endpoint } from '../../src/directory/directory.ts';
import type { ServerMessage } from '../../src/protocol/messages.ts';
import { Pace } from '../../src/session/pace.ts';
import { Session } from '../../src/session/session.ts';

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

describe('a session that ends before it begins', () => {
  it('gives back the place that was held for its call, and tells its end', async () => {
    const told: (ServerMessage | number)[] = [];
    const ended = Promise.withResolvers<string>();
    let released = 0;
    const session = new Session(
      {
        lease: { tokenId: 'ct_a', endpointId: 'ep_a', sessionId: 'sess_a' },
        remainingMs: 60_000,
        expiresAt: Date.now() + 60_000,
        call: { endpoint, media: {} },
        place: { release: () => released++ },
        ticket: 'ticket',
      },
      { send: (message) => told.push(message), close: (code) => told.push(code) },
      {
        media: {
          ready: true,
          reserve: () => Promise.reject(new Error('nobody asks for a place')),
          open: () => Promise.reject(new Error('nobody opens a call')),
          close: async () => {},
        },
        store: { releasePlace: async () => {} },
        finish: async () => {},
        deadlines: { answer: 1000, connect: 1000, reoffer: 1000, unreachable: 1000, settle: 1000 },
        log: pino({ level: 'silent' }),
        pace: new Pace(),
        onLive: () => {},
        onEnded: (_, reason) => ended.resolve(reason),
      },
    );
    session.end('flow_closed');
    session.begin();
    expect(await ended.promise).toBe('flow_closed');
    expect(released).toBe(1);
    expect(told).toEqual([{ type: 'ended', reason: 'flow_closed' }, 1000]);
  });
});
