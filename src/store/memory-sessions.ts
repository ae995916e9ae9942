import { lapsed, type Moment, type StoredSession, type StoredToken } from './record.ts';
import type { Adoption, AdoptionRefusal, HeldSession, Lease } from './store.ts';
import { rotated } from './tickets.ts';

/** The record of a token whose session is under way. */
interface ActiveToken extends StoredToken {
  session: StoredSession;
}

/** The end of a lease by both clocks. */
type LeaseEnd = Pick<StoredSession, 'leaseUntil' | 'lapsesAt'>;

/** How a session stands with the node that thinks to hold it. */
export function standing(
  token: StoredToken | undefined,
  lease: Pick<Lease, 'sessionId' | 'node' | 'epoch'>,
): 'held' | 'let_go' | 'moved' | 'over' {
  const { session, status } = token ?? {};
  if (session?.id !== lease.sessionId) return 'over';
  const isLevel = session.epoch === lease.epoch;
  if (session.epoch > lease.epoch || (isLevel && session.node !== lease.node && session.node !== '')) return 'moved';
  if (status !== 'active') return 'over';
  return isLevel && session.node === '' ? 'let_go' : 'held';
}

/** Writes a session as its node holds it, or lets go of it where `node` is empty. */
export function hold({ session }: ActiveToken, held: HeldSession, node: string, lease: LeaseEnd): void {
  const { epoch, tickets, resume } = held;
  Object.assign(session, { node, epoch, tickets: [...tickets], resume, ...lease });
}

/** Gives a session to another node; with `reused` it is still to be ended. */
export function adopt(
  token: StoredToken | undefined,
  { sessionId, node, from, ticket, successor }: Adoption,
  { at, lease }: { at: Moment; lease: LeaseEnd },
): AdoptionRefusal | undefined {
  const { session, status } = token ?? {};
  if (session?.id !== sessionId) return 'gone';
  const epoch = from.epoch + 1;
  const isRepeated = session.node === node && session.epoch === epoch;
  if (status !== 'active') return isRepeated && session.endReason === 'ticket_reused' ? 'reused' : 'gone';
  if (isRepeated && session.tickets[0] === successor) return undefined;
  if (lapsed(session, at)) return 'gone';
  if (session.node !== from.node || session.epoch !== from.epoch) return 'moved';
  const tickets = rotated(session.tickets, ticket, successor);
  if (tickets === 'gone') return 'gone';
  Object.assign(session, { node, epoch });
  if (tickets === 'reused') return 'reused';
  Object.assign(session, { tickets, ...lease });
  return undefined;
}

export const isActive = (token: StoredToken | undefined): token is ActiveToken =>
  token?.status === 'active' && token.session !== undefined;
