import { afterEach, describe, expect, it } from 'vitest';
import { CuttingProxy } from '../support/cutting-proxy.ts';
import { type Faults, FaultyGate } from '../support/faulty-gate.ts';
import { at, report } from '../support/load-cli.ts';
import { LossyPath } from '../support/lossy-path.ts';
import { TestServer } from '../support/server.ts';

const started: { stop(): Promise<void> }[] = [];
const own = <T extends { stop(): Promise<void> }>(part: T): T => {
  started.push(part);
  return part;
};
afterEach(async () => {
  for (const part of started.splice(0).reverse()) await part.stop();
});

const SHORT = '--endpoint ep_echo --sessions 10 --rate 50 --duration 300ms --media none'.split(' ');

const loadFaulty = async (faults: Faults, ...options: string[]) => {
  const gate = own(await FaultyGate.start(faults));
  return report('load', ...at(gate), ...SHORT, ...options);
};

describe('a server without faults', () => {
  it('passes all that the others fail', async () => {
    const { code, report } = await loadFaulty({}, '--race', '5', '--reuse', '--fail', 'errors>0');
    expect({ code, failures: report.failures }).toEqual({ code: 0, failures: [] });
    expect(report.race).toEqual({ contenders: 5, oneWinner: 10, noWinner: 0, severalWinners: 0, notHeld: 0 });
  });

  it('resumes all sessions whose sockets are killed', async () => {
    const { code, report } = await loadFaulty({}, '--churn', '1', '--fail', 'errors>0');
    expect({ code, churn: report.churn }).toEqual({ code: 0, churn: { killed: 10, resumed: 10 } });
    expect(report.returns).toMatchObject({ losses: 10, attached: 10, adopted: 0, gone: {}, back: { count: 10 } });
    expect(report.endReasons).toEqual({ completed: 10 });
  });

  it('resumes again and again at a rate', async () => {
    const { code, report, stdout } = await loadFaulty(
      {},
      '--churn',
      '20/s',
      '--fail',
      'errors>0',
      '--fail',
      'back.p95>9000',
    );
    expect(code).toBe(0);
    const { losses = 0, attached = 0 } = report.returns ?? {};
    expect(losses).toBeGreaterThan(20);
    expect(attached).toBe(losses);
    expect(stdout).toMatch(/^returns +losses \d+: attached \d+, adopted 0, gone none; rehomed 0; /m);
  });
});

describe('a client that comes back', () => {
  it('resumes a session whose socket broke, also without churn', async () => {
    const { code, report } = await loadFaulty({ breaksAfterMs: 50 }, '--fresh', '--fail', 'errors>0');
    expect(code).toBe(0);
    expect(report).not.toHaveProperty('churn');
    expect(report.returns).toMatchObject({ losses: 10, attached: 10 });
  });

  it('goes on through what may pass', async () => {
    const refusals = { resumes: { code: 'unavailable', times: 15 } } as const;
    const { code, report } = await loadFaulty(refusals, '--churn', '1', '--fail', 'errors>0');
    expect(code).toBe(0);
    expect(report.returns).toMatchObject({ losses: 10, attached: 10, gone: {} });
  });

  it('gives up what is gone, which is a failure', async () => {
    const { report } = await loadFaulty({ resumes: { code: 'session_gone', times: 4 } }, '--churn', '1');
    expect(report.errors).toEqual({ session_gone: 4 });
    expect(report.returns).toMatchObject({ losses: 10, attached: 6, gone: { session_gone: 4 } });
  });

  it('tells an adoption from a return to the same node', async () => {
    const { code, report } = await loadFaulty({ adopts: true }, '--churn', '1', '--fresh', '--fail', 'errors>0');
    expect(code).toBe(0);
    expect(report.returns).toMatchObject({ losses: 10, adopted: 10, attached: 0, rehomed: 0, live: { count: 10 } });
  });
});

describe('a faulty server is found out when it', () => {
  it('lets two racers win', async () => {
    const { code, report } = await loadFaulty({ winners: 2 }, '--race', '5');
    expect(code).toBe(1);
    expect(report.race).toMatchObject({ oneWinner: 0, severalWinners: 10 });
    expect(report.failures).toEqual(['10 of 10 races had several winners']);
  });

  it('lets nobody win', async () => {
    const { code, report } = await loadFaulty({ winners: 0 }, '--race', '5');
    expect(code).toBe(1);
    expect(report.race).toMatchObject({ noWinner: 10 });
    expect(report.errors).toEqual({ no_winner: 10 });
  });

  it('takes a token twice', async () => {
    const { code, report } = await loadFaulty({ winners: 2 }, '--reuse');
    expect(code).toBe(1);
    expect(report.failures).toEqual(['10 of 10 tokens were taken again after their session']);
  });

  it('says of a used token something else', async () => {
    const { code, report } = await loadFaulty({ refusal: 'token_expired' }, '--reuse');
    expect(code).toBe(1);
    expect(report.reuse).toEqual({ presented: 0, taken: 0, notPresented: 10 });
    expect(report.errors).toEqual({ reuse_token_expired: 10 });
  });

  it('ends sessions late', async () => {
    const { code, report } = await loadFaulty({ endsLateMs: 1000 }, '--fail', 'end.p50>900');
    expect(code).toBe(1);
    expect(report.timings.end.p50).toBeGreaterThanOrEqual(990);
    expect(report.failures).toEqual([expect.stringMatching(/^end\.p50>900: it was \d+/)]);
  });

  it('ends sessions early', async () => {
    const { report } = await loadFaulty({ endsAfterMs: 100 }, '--duration', '1s');
    expect(report.errors).toEqual({ ended_early: 10 });
    expect(report.failures).toEqual(['every session failed']);
  });

  it('refuses upgrades', async () => {
    const { report } = await loadFaulty({ refusesUpgrades: true });
    expect(report.errors).toEqual({ http_503: 10 });
    const [first] = report.failedSessions;
    expect(first).toMatchObject({ index: 0, error: 'http_503', step: 'socket', endpointId: 'ep_echo' });
    expect(first?.tokenId).toMatch(/^ct_\d+$/);
    const since = (Date.parse(first?.time ?? '') - Date.parse(report.startedAt)) / 1000;
    expect(Math.abs(since - (first?.at ?? 0))).toBeLessThan(0.002);
    expect(report.failedSessions).toHaveLength(10);
  });

  it('ends sessions for a reason of its own, which is told with the session', async () => {
    const { report } = await loadFaulty({ endReason: 'Lunch break' }, '--fail', 'errors.Lunch_break>9');
    expect(report.errors).toEqual({ Lunch_break: 10 });
    expect(report.failedSessions[0]).toMatchObject({ step: 'end', sessionId: expect.stringMatching(/^sess_/) });
    expect(report.failures).toContain('errors.Lunch_break>9: it was 10');
  });

  it('dies at one of its addresses, so that races cannot be held', async () => {
    const gate = own(await FaultyGate.start());
    const proxy = own(await CuttingProxy.start(Number(URL.parse(gate.urls[0]!)!.port)));
    const urls = [gate.urls[0]!, proxy.url.replace('redis', 'http')];
    const running = report(
      'load',
      ...at({ ...gate, urls }),
      ...SHORT,
      ...'--sessions 30 --rate 20 --race 2'.split(' '),
    );
    await expect.poll(() => gate.sessions, { timeout: 20_000, interval: 10 }).toBeGreaterThan(0);
    // A race that is being held is held to its end.
    proxy.refuse();
    const { code, report: shown } = await running;
    const { oneWinner = 0, notHeld = 0 } = shown.race ?? {};
    expect(oneWinner).toBeGreaterThan(0);
    expect(notHeld).toBeGreaterThan(0);
    expect(oneWinner + notHeld).toBe(30);
    expect({ code, failures: shown.failures }).toEqual({ code: 1, failures: [`${notHeld} races could not be held`] });
  });

  it('closes kept connections under the next request, and nothing is lost', async () => {
    const { code, report } = await loadFaulty({ dropsKept: true }, '--fail', 'errors>0');
    expect({ code, errors: report.errors }).toEqual({ code: 0, errors: {} });
  });

  it('stops minting', async () => {
    // One mint is that of the start.
    const { report } = await loadFaulty({ mints: { status: 502, after: 6 } });
    expect(report.errors).toEqual({ http_502: 5 });
    expect(report.sessions).toMatchObject({ arrived: 10, offered: 5, failed: 5 });
  });

  it('sends no more media after a while', async () => {
    const server = own(await TestServer.start());
    const path = own(await LossyPath.start(server, 20));
    const media = ['--media', 'audio', '--sessions', '2', '--duration', '5s', '--endpoint', 'ep_audio'];
    const running = report('load', ...at(path), ...SHORT, ...media);
    await expect.poll(() => path.dropped, { timeout: 20_000 }).toBeGreaterThan(2);
    path.losesAll = true;
    const { code, report: shown } = await running;
    expect({ code, errors: shown.errors }).toEqual({ code: 1, errors: { media_stopped: 2 } });
  });

  it('loses 5% of the packets', async () => {
    const server = own(await TestServer.start());
    const path = own(await LossyPath.start(server, 20));
    const media = ['--media', 'audio', '--sessions', '4', '--duration', '4s', '--endpoint', 'ep_audio'];
    const { code, report: shown } = await report(
      'load',
      ...at(path),
      ...SHORT,
      ...media,
      '--fail',
      'packets.lost_percent>2',
    );
    expect(code).toBe(1);
    expect(shown.sessions).toMatchObject({ connected: 4, failed: 0 });
    const { received, lost } = shown.packets;
    expect(path.dropped).toBeGreaterThan(20);
    expect((100 * lost) / (received + lost)).toBeGreaterThan(4);
    expect((100 * lost) / (received + lost)).toBeLessThan(6);
    expect(shown.failures).toEqual([expect.stringMatching(/^packets\.lost_percent>2: it was [45]/)]);
  });
});
