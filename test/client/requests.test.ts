import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Deadlines } from '../../src/client/deadlines.ts';
import { Requests } from '../../src/client/requests.ts';
import type { ClientMessage } from '../../src/protocol/messages.ts';

let said: ClientMessage[];
let server: { send(message: ClientMessage): void; reconnecting: boolean };
let deadlines: Deadlines;
let requests: Requests;

beforeEach(() => {
  said = [];
  server = { send: (message) => void said.push(message), reconnecting: false };
  deadlines = new Deadlines(() => {});
  requests = new Requests({ audio: 'sendrecv', video: 'none' }, server, deadlines);
});
afterEach(() => deadlines.endAll());

const media = { type: 'media', media: { audio: 'sendrecv', video: 'sendrecv' } };
const restart = { type: 'restart_ice' };

function answered(): void {
  requests.onOffer(false);
  requests.onAnswer();
}

describe('a call asks its server', () => {
  it('for other media once it has answered, with all that it wants', () => {
    requests.setMedia({ video: 'sendrecv' });
    expect(said).toEqual([]);
    answered();
    expect(said).toEqual([media]);
  });

  it('for new ICE credentials, once until they are answered', () => {
    requests.restartIce();
    answered();
    requests.restartIce();
    requests.restartIce();
    expect(said).toEqual([restart]);
    answered();
    requests.restartIce();
    expect(said).toEqual([restart, restart]);
  });
});

describe('when the server was away', () => {
  beforeEach(() => answered());

  function away(meanwhile: () => void = () => {}): void {
    requests.onLost();
    server.reconnecting = true;
    meanwhile();
    server.reconnecting = false;
    said = [];
  }

  it('what it may not have heard is asked again', () => {
    requests.setMedia({ video: 'sendrecv' });
    requests.restartIce();
    away();
    requests.onResumed(false);
    expect(said).toEqual([media, restart]);
  });

  it('what was wanted meanwhile is asked for', () => {
    away(() => {
      requests.setMedia({ video: 'sendrecv' });
      requests.restartIce();
    });
    requests.onResumed(false);
    expect(said).toEqual([media, restart]);
  });

  it('what was offered is not asked again', () => {
    requests.setMedia({ video: 'sendrecv' });
    requests.restartIce();
    answered();
    away();
    requests.onResumed(false);
    expect(said).toEqual([]);
  });

  it('new ICE credentials are asked for when media does not get through', () => {
    away();
    requests.onResumed(true);
    expect(said).toEqual([restart]);
  });
});
