import type { ServerMessage } from '../../src/protocol/messages.ts';
import { hashOf } from '../../src/session/tickets.ts';
import type { MemoryTokenStore } from '../../src/store/memory-store.ts';
import type { Adoption, AdoptionResult, Burn, BurnResult, SessionEnd } from '../../src/store/store.ts';

/** What is known of one session from outside. */
interface Seen {
  tokenId: string;
  expiresAt: number;
  /** Who was given it, and when. */
  grants: { node: string; epoch: number }[];
  /** The epochs of those whose node heard of it, and began. */
  begun: Set<number>;
  stored: string[];
  told: { reason: string; node: string }[];
  audited: string[];
  tickets: string[];
  /** The tickets that were told to whoever showed one. */
  successors: Map<string, Set<string>>;
  used: Set<string>;
  /** A rotation was told, and lost before it was stored. */
  forgot: boolean;
}

const secretOf = (ticket: string): string => ticket.slice(ticket.indexOf('.') + 1);

const newlySeen = (tokenId: string, expiresAt: number): Seen => ({
  tokenId,
  expiresAt,
  grants: [],
  begun: new Set(),
  stored: [],
  told: [],
  audited: [],
  tickets: [],
  successors: new Map(),
  used: new Set(),
  forgot: false,
});

/** What must be true of all sessions, whatever happens. It sees each step of the store and each word of a node. */
export class Rules {
  readonly #store: MemoryTokenStore;
  readonly #violated: (what: string) => void;
  readonly #sessions = new Map<string, Seen>();
  readonly #winners = new Map<string, string>();

  constructor(store: MemoryTokenStore, violated: (what: string) => void) {
    this.#store = store;
    this.#violated = violated;
  }

  get sessionIds(): string[] {
    return [...this.#sessions.keys()];
  }

  burned({ id, sessionId, node }: Burn, result: BurnResult): void {
    if (!result.burned) return;
    const winner = this.#winners.get(id) ?? sessionId;
    this.#winners.set(id, winner);
    if (winner !== sessionId) this.#violated('a token has two sessions');
    const { epoch, expiresAt } = result;
    const seen = this.#sessions.get(sessionId) ?? newlySeen(id, expiresAt);
    this.#sessions.set(sessionId, seen);
    this.#granted(seen, node, epoch, expiresAt);
  }

  async adopting({ sessionId }: Adoption): Promise<void> {
    const owner = await this.#store.owner(sessionId);
    const seen = this.#sessions.get(sessionId);
    const newest = seen?.tickets.at(-1);
    if (seen && owner && newest !== undefined && !owner.tickets.includes(hashOf(secretOf(newest)))) seen.forgot = true;
  }

  adopted({ sessionId, node, from }: Adoption, result: AdoptionResult): void {
    const seen = this.#sessions.get(sessionId);
    if (!seen) return this.#violated('what was never burned is adopted');
    if (result.adopted) this.#granted(seen, node, result.epoch, result.expiresAt);
    else if (result.refusal === 'reused' && seen.stored.length === 0) {
      seen.stored.push('ticket_reused');
      seen.grants.push({ node, epoch: from.epoch + 1 });
    }
  }

  finished({ sessionId, node, epoch, reason }: SessionEnd, stored: boolean): void {
    const seen = this.#sessions.get(sessionId);
    if (!stored || !seen) return;
    seen.stored.push(reason);
    if (seen.stored.length > 1) this.#violated(`a session has two ends: ${seen.stored}`);
    const last = seen.grants.at(-1);
    if (last?.epoch !== epoch || last.node !== node)
      this.#violated('a session is ended by a node that was left behind');
  }

  /** What a node says on a socket, and the ticket that was shown there. */
  said(node: string, shown: string | undefined, message: ServerMessage): void {
    if (message.type !== 'offer' && message.type !== 'resumed') return;
    const { id, ticket } = message.session;
    const seen = this.#sessions.get(id);
    if (!seen) return this.#violated('a session is told of that was never burned');
    if (!seen.tickets.includes(ticket)) seen.tickets.push(ticket);
    if (message.type === 'resumed' && shown !== undefined) void this.#resumed(seen, { id, node, shown, ticket });
  }

  begun(sessionId: string, epoch: number): void {
    this.#sessions.get(sessionId)?.begun.add(epoch);
  }

  /** What the audit says of ends, which it says once each is stored. */
  audited(sessionId: string, reason: string): void {
    const seen = this.#sessions.get(sessionId);
    seen?.audited.push(reason);
    if (seen && (seen.audited.length > 1 || seen.stored[0] !== reason))
      this.#violated(`${seen.audited} is audited, and ${seen.stored} stored`);
  }

  toldEnd(sessionId: string, node: string, reason: string): void {
    this.#sessions.get(sessionId)?.told.push({ node, reason });
  }

  /** At the end of all: every session has one end, and whoever heard of one heard that. */
  async check(isGone: (node: string) => boolean): Promise<void> {
    for (const { tokenId, stored, told, grants, begun } of this.#sessions.values()) {
      const record = await this.#store.read(tokenId);
      if (record?.status !== 'completed') this.#violated(`a session is ${record?.status} in the end`);
      const reason = record?.session?.endReason;
      const { node: last, epoch = 0 } = grants.at(-1) ?? {};
      for (const each of told) {
        // Of what it told it stored nothing more: it died, or another node had the session by then.
        const excused = isGone(each.node) || each.node !== last;
        if (each.reason !== reason && !excused) this.#violated(`${each.reason} was told, and ${reason} is stored`);
      }
      // Where the answer to a burn or an adoption was lost, nobody holds it, and its lease lapses.
      const isHeld = begun.has(epoch) && last !== undefined && !isGone(last);
      if (stored.length === 0 && isHeld) this.#violated('a session has no end');
    }
  }

  #granted(seen: Seen, node: string, epoch: number, expiresAt: number): void {
    const last = seen.grants.at(-1);
    if (seen.expiresAt !== expiresAt) this.#violated('a deadline has moved');
    if (last?.epoch === epoch && last.node === node) return;
    if (epoch !== (last?.epoch ?? 0) + 1) this.#violated(`epoch ${epoch} follows ${last?.epoch}`);
    if (seen.stored.length > 0) this.#violated('a session goes on after its end');
    seen.grants.push({ node, epoch });
  }

  async #resumed(
    seen: Seen,
    { id, node, shown, ticket }: { id: string; node: string; shown: string; ticket: string },
  ): Promise<void> {
    const owner = await this.#store.owner(id);
    // Whoever was left behind and does not know yet leaves with its next renewal.
    if (owner?.node !== node) return;
    const successors = seen.successors.get(shown) ?? new Set();
    for (const other of successors) {
      if (other === ticket || seen.forgot) continue;
      if (seen.used.has(other)) this.#violated('a ticket is taken whose successor was used');
      if (owner.tickets.slice(0, 2).includes(hashOf(secretOf(other))))
        this.#violated('a ticket has two live successors');
    }
    seen.successors.set(shown, successors.add(ticket));
    seen.used.add(shown);
  }
}
