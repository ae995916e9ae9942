import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Deadlines } from '../../src/client/deadlines.ts';
import type { CallError } from '../../src/client/errors.ts';
import { Signaling } from '../../src/client/signaling.ts';
import type { ServerMessage, StartMessage } from '../../src/protocol/messages.ts';
import { ScriptedGate, sessionInfo, type Visit } from '../support/scripted-gate.ts';

const START: StartMessage = { type: 'start', endpoint_id: 'ep_echo', token: 'x', media: {} };
const OFFER = { type: 'offer', offer_id: '1.1', sdp: 'v=0' } as const;

let gates: ScriptedGate[];
let gate: ScriptedGate;
let other: ScriptedGate;
let signaling: Signaling;
let heard: string[];
let lost: CallError[];

beforeEach(async () => {
  gates = await Promise.all([ScriptedGate.start(), ScriptedGate.start()]);
  [gate, other] = gates as [ScriptedGate, ScriptedGate];
  heard = [];
  lost = [];
});
afterEach(async () => {
  signaling.close();
  await Promise.all(gates.map((gate) => gate.stop()));
});

function open(url: string | string[]): void {
  const deadlines = new Deadlines(() => {});
  const options = { url, endpointId: 'ep_echo', token: 'x' };
  signaling = new Signaling(options, deadlines, {
    open: () => {},
    message: ({ type }: ServerMessage) => void heard.push(type),
    reconnecting: () => void heard.push('reconnecting'),
    lost: (error) => void lost.push(error),
    failed: (error) => void lost.push(error),
  });
  signaling.present(options, () => START);
}

/** A client that has its session, by its first ticket. */
async function started(url: string | string[] = gate.url, graceMs = 30_000): Promise<Visit> {
  open(url);
  const visit = await gate.visit();
  visit.say({ ...OFFER, session: sessionInfo('first', { grace_ms: graceMs }) });
  await expect.poll(() => heard).toEqual(['offer']);
  return visit;
}

const resumed = (ticket: string): ServerMessage => ({ type: 'resumed', session: sessionInfo(ticket) });
const back = () => expect.poll(() => heard.at(-1)).toBe('resumed');

describe('a client that has lost its socket', () => {
  it.each([
    ['is cut', (visit: Visit) => visit.cut()],
    ['is closed with 1012', (visit: Visit) => visit.close(1012)],
    ['is closed by what stands before the server', (visit: Visit) => visit.close(1000)],
    ['is told that it said too much', (visit: Visit) => visit.refuse('rate_limited', 4429)],
  ])('comes back at once when it %s, with its ticket in the upgrade request', async (_, lose) => {
    const visit = await started();
    const at = performance.now();
    lose(visit);
    const second = await gate.visit();
    expect(second.at - at).toBeLessThan(1000);
    expect(second.heard).toEqual([{ type: 'resume', session_id: 'sess_1', ticket: 'first' }]);
    expect(heard).toEqual(['offer', 'reconnecting']);
    second.say(resumed('second'), { type: 'live' });
    await expect.poll(() => heard).toEqual(['offer', 'reconnecting', 'resumed', 'live']);
    expect(signaling.reconnecting).toBe(false);
  });

  it('shows the ticket that it was given last, and is heard again', async () => {
    (await started()).cut();
    const second = await gate.visit();
    second.say(resumed('second'));
    await back();
    signaling.send({ type: 'restart_ice' });
    await expect.poll(() => second.heard.at(-1)).toEqual({ type: 'restart_ice' });
    second.cut();
    const third = await gate.visit();
    expect(third.heard).toMatchObject([{ ticket: 'second' }]);
    // An answer that is lost changes nothing.
    third.cut();
    expect((await gate.visit()).heard).toMatchObject([{ ticket: 'second' }]);
  });

  it.each([
    ['unavailable', 4503],
    ['at_capacity', 4429],
    ['rate_limited', 4429],
  ] as const)('goes on through %s, later from try to try', async (code, close) => {
    (await started()).cut();
    const times: number[] = [];
    for (let tries = 0; tries < 4; tries++) {
      const visit = await gate.visit();
      times.push(visit.at);
      visit.refuse(code, close);
    }
    const waits = times.slice(1).map((time, index) => time - times[index]!);
    expect(waits[0]).toBeGreaterThan(100);
    expect(waits[2]).toBeGreaterThan(waits[0]!);
    (await gate.visit()).say(resumed('second'));
    await back();
    expect(lost).toEqual([]);
    expect(heard.filter((type) => type === 'reconnecting')).toHaveLength(1);
  });

  it('tries the next address of its list', async () => {
    (await started([gate.url, other.url])).cut();
    const elsewhere = await other.visit();
    expect(elsewhere.heard).toMatchObject([{ ticket: 'first' }]);
    elsewhere.refuse('unavailable', 4503);
    (await gate.visit()).say(resumed('second'));
    await back();
  });

  it('tries at once when there is a network again', async () => {
    (await started()).cut();
    for (let tries = 0; tries < 4; tries++) (await gate.visit()).refuse('unavailable', 4503);
    // The next one would come in a second or two.
    const at = performance.now();
    signaling.retry();
    expect((await gate.visit()).at - at).toBeLessThan(500);
  });

  it('hears its end', async () => {
    (await started()).cut();
    (await gate.visit()).refuse('session_gone', 4410);
    await expect.poll(() => heard).toEqual(['offer', 'reconnecting', 'error']);
    await expect.poll(() => lost.map(({ code }) => code)).toEqual(['session_gone']);
  });

  it('hangs up as soon as it is back, and not before', async () => {
    (await started()).cut();
    const visit = await gate.visit();
    signaling.hangUp();
    visit.refuse('unavailable', 4503);
    const second = await gate.visit();
    second.say(resumed('second'));
    await expect.poll(() => second.heard.map(({ type }) => type)).toEqual(['resume', 'hangup']);
    expect(visit.heard.map(({ type }) => type)).toEqual(['resume']);
  });

  it('gives a socket up that says nothing any more', async () => {
    const visit = await started();
    expect(signaling.renew()).toBe(true);
    const second = await gate.visit();
    // Neither a hang-up nor the end of anything.
    expect(await visit.closed).toBe(1005);
    second.say(resumed('second'));
    await back();
  });
});

describe('a client whose session is over', () => {
  it('does not come back when it is displaced', async () => {
    (await started()).refuse('session_gone', 4410);
    await expect.poll(() => lost).toMatchObject([{ code: 'session_gone', closeCode: 4410 }]);
    expect(heard).toEqual(['offer', 'error']);
  });

  it('knows it by the close code alone', async () => {
    (await started()).close(4410);
    await expect.poll(() => lost).toMatchObject([{ code: 'session_gone', closeCode: 4410 }]);
  });

  it('does not come back to an end that it has heard', async () => {
    const visit = await started();
    visit.say({ type: 'ended', reason: 'expired' });
    visit.cut();
    await expect.poll(() => lost).toHaveLength(1);
    expect(heard).toEqual(['offer', 'ended']);
  });

  it('does not come back once it has hung up', async () => {
    const visit = await started();
    signaling.hangUp();
    visit.cut();
    await expect.poll(() => lost).toHaveLength(1);
    expect(heard).toEqual(['offer']);
  });

  it('says so with 1000', async () => {
    const visit = await started();
    signaling.close();
    expect(await visit.closed).toBe(1000);
  });
});

describe('a client without a session', () => {
  it('starts at the next address when one does not open', async () => {
    const { url } = other;
    await other.stop();
    gates = [gate];
    open([url, gate.url]);
    expect((await gate.visit()).heard).toEqual([START]);
    expect(lost).toEqual([]);
  });

  it('is lost when its start has been heard, for the token may be spent', async () => {
    open([gate.url, other.url]);
    (await gate.visit()).cut();
    await expect.poll(() => lost).toMatchObject([{ code: 'network_error', closeCode: 1006, retryable: false }]);
  });
});
