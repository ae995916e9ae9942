import type { Logger } from 'pino';
import { endsSessions } from '../directory/callability.ts';
import type { DirectorySource } from '../directory/directory.ts';
import type { EndReason } from '../protocol/codes.ts';
import { Outage } from '../shared/outage.ts';
import type { HeldSession, TokenStore } from '../store/store.ts';
import type { Session } from './session.ts';
import type { TaskQueue } from './task-queue.ts';

export interface RegistryOptions {
  store: Pick<TokenStore, 'renew' | 'releasePlace' | 'onSessions'>;
  log: Logger;
  renewEveryMs: number;
  directory: DirectorySource;
  tasks: TaskQueue;
}

/** How many sessions that were revoked before they were added are remembered, here or wherever they are. */
const MAX_REVOKED = 1000;

/** How long the store may not know the certificate of a client. */
const SAVE_AFTER_MS = 1000;

/** The sessions of this process, and the one timer that keeps their leases. */
export class SessionRegistry {
  readonly #sessions = new Map<string, Session>();
  /** Revoked before they were added, here or elsewhere. */
  readonly #revoked = new Set<string>();
  readonly #store: RegistryOptions['store'];
  /** Leases that could not be renewed. */
  readonly #unrenewed: Outage;
  readonly #timer: NodeJS.Timeout;
  readonly #unsaved = new Set<Session>();
  #saving: NodeJS.Timeout | undefined;
  readonly #unlisten: () => void;
  readonly #directory: DirectorySource;
  readonly #tasks: TaskQueue;
  readonly #empty = Promise.withResolvers<void>();
  #closing: EndReason | undefined;

  constructor({ store, log, renewEveryMs, directory, tasks }: RegistryOptions) {
    this.#directory = directory;
    this.#tasks = tasks;
    this.#store = store;
    this.#unrenewed = new Outage(log, 'leases are renewed again');
    this.#timer = setInterval(() => void this.#renew(), renewEveryMs);
    this.#unlisten = store.onSessions({
      revoked: (id) => this.#endRevoked(id),
      moved: (id) => this.#sessions.get(id)?.leave(),
      missed: () => void this.#renew(),
      forgotten: (tokenId, team) => this.#endForgotten(tokenId, team),
    });
  }

  get(sessionId: string): Session | undefined {
    return this.#sessions.get(sessionId);
  }

  get size(): number {
    return this.#sessions.size;
  }

  /** A session whose burn was on its way when the stop came, its flow was closed or it was revoked ends before it begins. */
  add(session: Session): void {
    this.#sessions.set(session.id, session);
    if (this.#closing !== undefined) session.end(this.#closing);
    else if (this.#isClosed(session)) session.end('flow_closed');
    else if (this.#revoked.delete(session.id)) session.end('revoked');
  }

  /** Ends the sessions of the flows that end theirs; to be called whenever the directory may have changed. */
  endClosed(): void {
    for (const session of this.#sessions.values()) {
      if (this.#isClosed(session)) session.endInTurn('flow_closed');
    }
  }

  /** Gives up the sessions of an endpoint whose clients can follow them to another node. */
  giveUp(endpointId: string): void {
    for (const session of this.#sessions.values()) {
      if (session.endpoint.id !== endpointId || !session.canFollow) continue;
      this.#tasks.run(() => void session.giveUp().catch(() => undefined));
    }
  }

  /** What an adopting node must know of a session that is older than this is stored, and a call of a moment costs nothing. */
  saveSoon(session: Session): void {
    if (!session.canFollow) return;
    this.#unsaved.add(session);
    this.#saving ??= setTimeout(() => void this.#saveAll(), SAVE_AFTER_MS).unref();
  }

  remove(session: Session): void {
    this.#sessions.delete(session.id);
    this.#unsaved.delete(session);
    if (this.#closing !== undefined && this.#sessions.size === 0) this.#empty.resolve();
  }

  /** Ends all sessions and waits until nothing of them is left. Idempotent. */
  async close(reason: EndReason): Promise<void> {
    clearInterval(this.#timer);
    clearTimeout(this.#saving);
    this.#unlisten();
    this.#closing ??= reason;
    if (this.#sessions.size === 0) return;
    for (const session of this.#sessions.values()) session.endInTurn(this.#closing);
    await this.#empty.promise;
    // A session that was tired of waiting may be gone before its end is on its way to the store.
    await this.#tasks.idle();
  }

  /** Whether its flow ends its sessions now. */
  #isClosed({ endpoint }: Session): boolean {
    return endsSessions(this.#directory.current, endpoint);
  }

  /** Announcements reach every process; that of a session whose burn is still on its way must not be lost. */
  #endRevoked(sessionId: string): void {
    const session = this.#sessions.get(sessionId);
    if (session) return session.end('revoked');
    this.#revoked.add(sessionId);
    const [oldest] = this.#revoked;
    if (this.#revoked.size > MAX_REVOKED && oldest !== undefined) this.#revoked.delete(oldest);
  }

  /** The store knows nothing of this token any more; whose it was is known here. */
  #endForgotten(tokenId: string, team: string): boolean {
    for (const session of this.#sessions.values()) {
      if (session.lease.tokenId !== tokenId || session.endpoint.team !== team) continue;
      session.end('revoked');
      return true;
    }
    return false;
  }

  async #saveAll(): Promise<void> {
    this.#saving = undefined;
    const sessions = [...this.#unsaved];
    this.#unsaved.clear();
    // What could not be stored goes with the next renewal.
    await this.#store.renew(heldOf(sessions)).catch(() => undefined);
    this.#freeEnded(sessions);
  }

  /** A store that is away ends no call: the next round renews what lapsed. */
  async #renew(): Promise<void> {
    const sessions = [...this.#sessions.values()].filter((session) => !session.over);
    if (sessions.length === 0) return;
    await this.#store.renew(heldOf(sessions)).then(
      () => this.#unrenewed.ended(),
      (err: unknown) =>
        this.#unrenewed.began({ err, sessions: sessions.length }, 'leases could not be renewed; trying again'),
    );
    this.#freeEnded(sessions);
  }

  /** A place that was given back meanwhile may have been taken again by its renewal; if not now, it is freed when it lapses. */
  #freeEnded(sessions: readonly Session[]): void {
    const ended = sessions.filter(({ over, left }) => over && !left);
    for (const { lease } of ended) this.#store.releasePlace(lease).catch(() => undefined);
  }
}

/** Each as it is when its turn comes, unless it is over by then. */
function* heldOf(sessions: readonly Session[]): Generator<HeldSession> {
  for (const session of sessions) if (!session.over) yield session.held;
}
