import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  firstTickets,
  hashOf,
  MAX_OLDER,
  present,
  readTicket,
  type Tickets,
  ticketText,
} from '../../src/session/tickets.ts';

const secretOf = (n: number) => String(n).padStart(43, 'A');
const NODE = 'n_abcdefgh';

/** Tickets after this many rotations, every secret numbered. */
function rotated(times: number): Tickets {
  let tickets = firstTickets(secretOf(0));
  for (let n = 1; n <= times; n += 1) {
    const presented = present(tickets, hashOf(secretOf(n - 1)), () => secretOf(n));
    if (presented.outcome !== 'rotated') throw new Error(presented.outcome);
    tickets = presented.tickets;
  }
  return tickets;
}

const show = (tickets: Tickets, n: number) => present(tickets, hashOf(secretOf(n)), () => secretOf(1000));

describe('a ticket', () => {
  it('that is current has a successor from then on', () => {
    expect(show(rotated(3), 3)).toEqual({
      outcome: 'rotated',
      tickets: { secret: secretOf(1000), hashes: [1000, 3, 2, 1, 0].map(secretOf).map(hashOf) },
    });
  });

  it('that was used last is answered with the same successor', () => {
    const tickets = rotated(3);
    expect(show(tickets, 2)).toEqual({ outcome: 'repeated', tickets });
  });

  it('that is older is theft', () => {
    expect(show(rotated(3), 1)).toEqual({ outcome: 'reused' });
    expect(show(rotated(3), 0)).toEqual({ outcome: 'reused' });
  });

  it('that nobody was given is a guess', () => {
    expect(show(rotated(3), 4)).toEqual({ outcome: 'unknown' });
  });

  it('is remembered while it is one of the last ten', () => {
    const tickets = rotated(MAX_OLDER + 2);
    expect(tickets.hashes).toHaveLength(MAX_OLDER + 2);
    expect(show(tickets, 1).outcome).toBe('reused');
    expect(show(tickets, 0).outcome).toBe('unknown');
  });

  it('is read back from its text alone', () => {
    expect(readTicket(ticketText(NODE, secretOf(7)))).toBe(hashOf(secretOf(7)));
    for (const text of [
      '',
      secretOf(7),
      `.${secretOf(7)}`,
      `${NODE}.short`,
      `${NODE}.${secretOf(7)}A`,
      `a b.${secretOf(7)}`,
    ])
      expect(readTicket(text)).toBeUndefined();
  });
});

describe('under any order of presentations', () => {
  it('all presentations of one ticket get one successor, and no older one is ever taken again', () => {
    fc.assert(
      fc.property(fc.array(fc.nat({ max: 20 }), { maxLength: 40 }), (shown) => {
        let tickets = firstTickets(secretOf(0));
        let made = 0;
        const successors = new Map<number, string>();
        for (const n of shown) {
          const presented = present(tickets, hashOf(secretOf(n)), () => secretOf(++made));
          if (presented.outcome === 'unknown') expect(n).toBeGreaterThan(made);
          if (presented.outcome === 'reused') expect(n).toBeLessThan(made - 1);
          if (!('tickets' in presented)) continue;
          ({ tickets } = presented);
          // The one successor: what was told first is what is told ever after.
          expect(successors.get(n) ?? tickets.secret).toBe(tickets.secret);
          successors.set(n, tickets.secret);
          expect(tickets.hashes.slice(0, 2)).toEqual([hashOf(secretOf(made)), hashOf(secretOf(made - 1))]);
        }
      }),
      { numRuns: 2000 },
    );
  });

  it('a guess changes nothing', () => {
    fc.assert(
      fc.property(fc.nat({ max: 12 }), fc.string(), (times, guess) => {
        expect(present(rotated(times), hashOf(guess), () => secretOf(99))).toEqual({ outcome: 'unknown' });
      }),
    );
  });
});
