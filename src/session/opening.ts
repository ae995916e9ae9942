import { callability } from '../directory/callability.ts';
import type { DirectorySource, Endpoint } from '../directory/directory.ts';
import { CallgateError, hasCode, unspent } from '../errors.ts';
import type { MediaPlane, Reservation } from '../media/media.ts';
import { randomText } from '../shared/random.ts';
import type { Burn, TokenStore } from '../store/store.ts';
import type { OpenRequest, SessionClient } from './client.ts';
import { holdRoom, type RoomHolders } from './others.ts';
import { type Resume, writeResume } from './resume.ts';
import type { SessionGrant } from './session.ts';
import { firstTickets, newSecret } from './tickets.ts';

export interface OpeningDeps {
  /** The id of this process. */
  node: string;
  directory: DirectorySource;
  store: Pick<TokenStore, 'burn' | 'peek' | 'acquirePlace' | 'releasePlace'>;
  media: Pick<MediaPlane, 'reserve'>;
  rooms: RoomHolders;
}

/** Reserves what a call needs, and burns its token: whoever burns holds the session. */
export class Opening {
  readonly #deps: OpeningDeps;

  constructor(deps: OpeningDeps) {
    this.#deps = deps;
  }

  /** What a session begins with, or undefined when the client has left before the burn. */
  async open(request: OpenRequest, client: Pick<SessionClient, 'gone'>): Promise<SessionGrant | undefined> {
    const endpoint = this.#callable(request);
    await holdRoom(this.#deps, endpoint);
    const resume = resumeOf(request);
    const tickets = firstTickets(newSecret());
    const burn = this.#burnOf(request, resume, tickets.hashes);
    const reservation = await this.#reserve(endpoint, burn);
    try {
      if (client.gone) return this.#release(reservation, burn);
      // The directory may have changed during the reservation.
      this.#callable(request);
      const { burned: _, epoch, ...times } = await this.#burn(burn);
      const { tokenId, endpointId } = request;
      const lease = { tokenId, endpointId, sessionId: burn.sessionId, node: burn.node, epoch };
      return { lease, endpoint, ...times, resume, reservation, tickets, adopted: false };
    } catch (error) {
      this.#release(reservation, burn);
      throw error;
    }
  }

  #callable({ endpointId, team }: OpenRequest): Endpoint {
    const { current } = this.#deps.directory;
    const endpoint = current.endpoint(endpointId);
    if (!endpoint || callability(current, endpointId, team) !== 'ok') throw unspent('endpoint_unavailable');
    return endpoint;
  }

  #burnOf({ sessionId, tokenId, endpointId, foreign }: OpenRequest, resume: Resume, tickets: readonly string[]): Burn {
    return {
      id: tokenId,
      endpointId,
      sessionId,
      node: this.#deps.node,
      tickets,
      resume: writeResume(resume),
      ...(foreign && { foreign }),
    };
  }

  /** Reserves a slot on a worker and takes a place at the endpoint: both or none. Whatever is refused here, nothing was burned. */
  async #reserve(endpoint: Endpoint, burn: Burn): Promise<Reservation> {
    const { endpointId, sessionId } = burn;
    const { media, store } = this.#deps;
    let reservation: Reservation | undefined;
    try {
      reservation = await media.reserve(endpoint);
      const taken = await store.acquirePlace({ endpointId, sessionId, max: endpoint.maxSessions });
      if (!taken) throw unspent('at_capacity');
      return reservation;
    } catch (error) {
      if (reservation) this.#release(reservation, burn);
      throw await this.#ofFull(burn, error);
    }
  }

  /** When every slot or place is taken, the client still learns why the burn would have refused its token, if it would. */
  async #ofFull({ id, foreign }: Burn, error: unknown): Promise<unknown> {
    if (!hasCode(error, 'at_capacity')) return hasCode(error, 'unavailable') ? unspent('unavailable') : error;
    return this.#deps.store.peek(id, foreign).then(
      (refusal) => (refusal ? new CallgateError(refusal) : error),
      (failure: unknown) => (hasCode(failure, 'unavailable') ? unspent('unavailable') : failure),
    );
  }

  async #burn(burn: Burn) {
    const result = await this.#deps.store.burn(burn);
    if (!result.burned) throw new CallgateError(result.refusal);
    return result;
  }

  #release(reservation: Reservation, { endpointId, sessionId }: Burn): undefined {
    reservation.release();
    // A place that cannot be given back is freed when its lease lapses.
    this.#deps.store.releasePlace({ endpointId, sessionId }).catch(() => undefined);
  }
}

const resumeOf = ({ media, fresh, fingerprint }: OpenRequest): Resume => ({
  media,
  fresh,
  // The others in a room see it, and it says nothing about the session.
  participant: `p_${randomText(9, 'base64url')}`,
  ...(fingerprint !== undefined && { fingerprint }),
});
