import { afterEach, describe, expect, it } from 'vitest';
import { Backend } from '../../src/load/backend.ts';
import { presentOnce } from '../../src/load/presentation.ts';
import { type Faults, FaultyGate } from '../support/faulty-gate.ts';

const started: { stop(): Promise<void> }[] = [];
afterEach(async () => {
  for (const part of started.splice(0)) await part.stop();
});

const gateWith = async (faults: Faults): Promise<FaultyGate> => {
  const gate = await FaultyGate.start(faults);
  started.push(gate);
  return gate;
};

const mint = async (status: number, says: string): Promise<unknown> => {
  const gate = await gateWith({ mints: { status, after: 0, says } });
  const backend = new Backend(gate.urls[0]!, gate.apiKey);
  try {
    return await backend.mint({ endpointId: 'ep_echo' });
  } finally {
    backend.close();
  }
};

describe('what a server says that callgate would not', () => {
  it.each([
    [200, '{"code":"E-42"}', 'E-42'],
    [200, '{"code":4200}', '4200'],
    [429, '{"error":{"code":"QuotaExceeded"}}', 'QuotaExceeded'],
    [401, '{"error":"invalid grant\\u001b[2J"}', 'invalid_grant_2J'],
    [503, `{"code":"${'x'.repeat(100)}"}`, 'x'.repeat(64)],
    [503, '{"code":"\\u0000"}', 'http_503'],
    [502, '<html>', 'http_502'],
    [200, 'true', 'http_200'],
  ])('with %i and %s is the code of a mint', async (status, says, code) => {
    await expect(mint(status, says)).rejects.toMatchObject({ name: 'Failure', code });
  });

  it('is the code of a refused start', async () => {
    const gate = await gateWith({ winners: 0, refusal: 'Quota.Exceeded' });
    const start = { type: 'start', endpoint_id: 'ep_echo', token: 'a' } as const;
    expect(await presentOnce(gate.urls[0]!, start)).toBe('Quota_Exceeded');
  });
});
