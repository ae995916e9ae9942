import type { DirectorySource, Endpoint } from '../directory/directory.ts';
import { originAllowed } from '../directory/origin.ts';
import { CallgateError, hasCode, unspent } from '../errors.ts';
import type { MediaPlane, Reservation } from '../media/media.ts';
import type { AdoptionResult, SessionOwner, TokenStore } from '../store/store.ts';
import type { CallEvents } from '../telemetry/call-events.ts';
import type { Attachment } from './attachment.ts';
import { Elsewhere, type ResumeRequest, type SessionClient } from './client.ts';
import type { Finisher } from './finisher.ts';
import type { SessionMaker } from './maker.ts';
import { holdRoom, type Liveness, type RoomHolders } from './others.ts';
import { readResume } from './resume.ts';
import type { SessionGrant } from './session.ts';
import { hashOf, newSecret, readTicket } from './tickets.ts';

export interface AdoptionDeps {
  /** The id of this process. */
  node: string;
  directory: DirectorySource;
  store: Pick<TokenStore, 'owner' | 'adopt' | 'renew' | 'releasePlace'>;
  media: Pick<MediaPlane, 'reserve'>;
  liveness: Liveness;
  rooms: RoomHolders;
  maker: SessionMaker;
  /** A session that has ended here is over, stored or not. */
  finisher: Pick<Finisher, 'isPending'>;
  events: Pick<CallEvents, 'ended'>;
}

const gone = (): CallgateError => new CallgateError('session_gone');

/** What is asked for, with what the record says of it. */
interface Claim {
  request: ResumeRequest;
  /** Hash of the ticket. */
  shown: string;
  owner: SessionOwner;
  endpoint: Endpoint;
}

/** Takes over sessions whose node is dead or has let go of them, and begins them again from their record. */
export class Adoption {
  readonly #deps: AdoptionDeps;
  /** By session. */
  readonly #underWay = new Map<string, Promise<unknown>>();

  constructor(deps: AdoptionDeps) {
    this.#deps = deps;
  }

  /** Resolves when no adoption of this session is under way; never rejects. */
  async underWay(sessionId: string): Promise<void> {
    while (this.#underWay.has(sessionId)) await this.#underWay.get(sessionId);
  }

  /** Rejects as `Sessions.resume` does. To be called for a session that is not held here. */
  async adopt(request: ResumeRequest, client: SessionClient): Promise<Attachment> {
    const { sessionId } = request;
    const adopting = this.#adopt(request, client);
    const settled = adopting.catch(() => undefined).then(() => this.#underWay.delete(sessionId));
    this.#underWay.set(sessionId, settled);
    return adopting;
  }

  async #adopt(request: ResumeRequest, client: SessionClient): Promise<Attachment> {
    const claim = await this.#claim(request);
    const reservation = await this.#deps.media.reserve(claim.endpoint);
    const secret = newSecret();
    const adopted = await this.#take(claim, hashOf(secret)).catch((error: unknown) => {
      reservation.release();
      throw error;
    });
    const grant = this.#grant(claim, adopted, { reservation, secret });
    const attachment = this.#deps.maker.start(grant, client, request.context);
    const { session } = attachment;
    // Its place may be somebody else's by now, and is taken all the same; if not now, then with the next renewal.
    void this.#takePlace(session);
    if (adopted.revoked) session.end('revoked');
    return attachment;
  }

  /** As with any renewal, a place that was given back meanwhile may have been taken again. */
  async #takePlace(session: Attachment['session']): Promise<void> {
    const { store } = this.#deps;
    await store.renew([session.held]).catch(() => undefined);
    if (session.over && !session.left) await store.releasePlace(session.lease).catch(() => undefined);
  }

  /** What speaks against it before anything is changed, in the documented order. */
  async #claim(request: ResumeRequest): Promise<Claim> {
    const { sessionId, origin, fresh } = request;
    const shown = this.#deps.finisher.isPending(sessionId) ? undefined : readTicket(request.ticket);
    const owner = shown === undefined ? undefined : await this.#deps.store.owner(sessionId).catch(retryable);
    if (shown === undefined || !owner?.tickets.includes(shown)) throw gone();
    const endpoint = this.#deps.directory.current.endpoint(owner.endpointId);
    if (endpoint?.team !== owner.team) throw gone();
    if (!originAllowed(origin, endpoint.allowedOrigins)) throw unspent('origin_denied');
    if (!this.#isFree(owner)) throw new Elsewhere(owner.node);
    if (!fresh) throw gone();
    await holdRoom(this.#deps, endpoint).catch(retryable);
    return { request, shown, owner, endpoint };
  }

  /** A session of this node that is not here: its adoption was stored, and its answer lost. */
  #isFree({ node }: SessionOwner): boolean {
    return node === '' || node === this.#deps.node || this.#deps.liveness.isDead(node);
  }

  async #take({ request, shown, owner }: Claim, successor: string): Promise<AdoptionResult & { adopted: true }> {
    const { node, store } = this.#deps;
    const { sessionId } = request;
    const from = { node: owner.node, epoch: owner.epoch };
    const result = await store.adopt({ sessionId, node, from, ticket: shown, successor }).catch(retryable);
    if (result.adopted) return result;
    if (result.refusal === 'moved') throw unspent('unavailable');
    if (result.refusal === 'reused') this.#tellReused(owner, request);
    throw gone();
  }

  /** The store has ended the session, in the step that found the ticket used. */
  #tellReused({ team, endpointId, tokenId, node, epoch }: SessionOwner, { sessionId, context }: ResumeRequest): void {
    const ids = { team, endpoint_id: endpointId, token_id: tokenId, session_id: sessionId };
    this.#deps.events.ended('ticket_reused', { ...ids, node, epoch, ...context });
  }

  #grant(
    { request, endpoint, owner }: Claim,
    adopted: AdoptionResult & { adopted: true },
    { reservation, secret }: { reservation: Reservation; secret: string },
  ): SessionGrant {
    const { tokenId, endpointId } = owner;
    const { epoch, remainingMs, startedAt, expiresAt, tickets: hashes } = adopted;
    return {
      lease: { tokenId, endpointId, sessionId: request.sessionId, node: this.#deps.node, epoch },
      endpoint,
      remainingMs,
      startedAt,
      expiresAt,
      resume: { ...readResume(adopted.resume), fresh: request.fresh },
      reservation,
      tickets: { secret, hashes },
      adopted: true,
    };
  }
}

/** A ticket that was presented is good for another try. */
const retryable = (error: unknown): never => {
  if (error instanceof Elsewhere) throw error;
  throw hasCode(error, 'unavailable') ? unspent('unavailable') : error;
};
