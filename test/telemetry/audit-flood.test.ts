import { pino } from 'pino';
import { beforeEach, describe, expect, it } from 'vitest';
import { Audit } from '../../src/telemetry/audit.ts';

describe('an audit that is flooded with refusals', () => {
  let lines: Record<string, unknown>[];
  let leftOut: number;
  let audit: Audit;
  beforeEach(() => {
    lines = [];
    leftOut = 0;
    const log = pino({}, { write: (line: string) => void lines.push(JSON.parse(line)) });
    audit = new Audit({ log, maxLength: 1000, losses: { auditDropped: () => {}, auditLeftOut: () => leftOut++ } });
  });
  const refuse = (peer: string) => audit.record({ event: 'refusal', peer, code: 'api_key_missing' });
  const events = () => lines.filter(({ audit }) => audit === true);

  it('by one address tells the first of them, how many it left out, and all that others do', () => {
    for (let i = 0; i < 10_000; i++) refuse('203.0.113.7');
    refuse('203.0.113.8');
    audit.record({ event: 'mint', peer: '203.0.113.7', token_id: 'ct_1' });
    expect(events().map(({ event, peer }) => `${event} ${peer}`)).toEqual([
      ...Array.from({ length: 100 }, () => 'refusal 203.0.113.7'),
      'refusal 203.0.113.8',
      'mint 203.0.113.7',
    ]);
    expect(leftOut).toBe(9900);
    expect(lines.filter(({ msg }) => String(msg).startsWith('too many refusals'))).toHaveLength(1);
  });

  it('by many addresses tells a thousand a minute, and every mint, burn and end', () => {
    for (let i = 0; i < 5000; i++) refuse(`203.0.${i >> 8}.${i & 255}`);
    for (const event of ['mint', 'burn', 'end'] as const) audit.record({ event });
    expect(events()).toHaveLength(1003);
    expect(leftOut).toBe(4000);
  });
});
