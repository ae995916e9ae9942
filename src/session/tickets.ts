import { hash } from 'node:crypto';
import { randomText } from '../shared/random.ts';

/** Characters of a ticket's secret: 256 bits, base64url. */
const TICKET = /^[a-z0-9_]{1,64}\.([A-Za-z0-9_-]{43})$/;

/** What is remembered of used tickets, beside the one before the current: whoever shows one of them has stolen it. */
export const MAX_OLDER = 8;

/**
 * The tickets of one session, as its owner knows them. Only hashes leave this process; the secret of the current one is
 * here, so that a client whose `resumed` was lost is told the same again.
 */
export interface Tickets {
  readonly secret: string;
  /** Hashes, newest first: the current one, the one before, up to {@link MAX_OLDER} older. */
  readonly hashes: readonly string[];
}

/**
 * `rotated`: the current one was shown, and has a successor now. `repeated`: the one before was shown again, and has the
 * successor that it had. `reused`: an older one was shown, which is theft. `unknown`: a guess.
 */
export type Presented = { outcome: 'rotated' | 'repeated'; tickets: Tickets } | { outcome: 'reused' | 'unknown' };

export const hashOf = (secret: string): string => hash('sha256', secret, 'base64url');

export const firstTickets = (secret: string): Tickets => ({ secret, hashes: [hashOf(secret)] });

/** Shows the ticket with this hash; a successor is made from `secret`, which is to be fresh. */
export function present({ secret: current, hashes }: Tickets, shown: string, secret: () => string): Presented {
  switch (hashes.indexOf(shown)) {
    case -1:
      return { outcome: 'unknown' };
    case 0:
      return { outcome: 'rotated', tickets: successorOf(hashes, secret()) };
    case 1:
      return { outcome: 'repeated', tickets: { secret: current, hashes } };
    default:
      return { outcome: 'reused' };
  }
}

const successorOf = (hashes: readonly string[], secret: string): Tickets => ({
  secret,
  hashes: [hashOf(secret), ...hashes].slice(0, MAX_OLDER + 2),
});

/** The ticket as the client gets it: the id of the node that gave it says where to look first. */
export const ticketText = (node: string, secret: string): string => `${node}.${secret}`;

/** The node that gave a ticket, as the ticket says. */
export const nodeOf = (text: string): string => text.slice(0, Math.max(text.indexOf('.'), 0));

/** The hash of a ticket's secret; undefined for what is no ticket. */
export function readTicket(text: string): string | undefined {
  const secret = TICKET.exec(text)?.[1];
  return secret === undefined ? undefined : hashOf(secret);
}

export const newSecret = (): string => randomText(32, 'base64url');
