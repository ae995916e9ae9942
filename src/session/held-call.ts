import type { CallListener, CallSpec, MediaCall, MediaPlane, Reservation } from '../media/media.ts';
import type { WantedMedia } from '../protocol/messages.ts';

/** The call of a session: one at a time, on one worker after the other. Whatever is opened or reserved too late is let go. */
export class HeldCall {
  readonly #media: MediaPlane;
  #reservation: Reservation | undefined;
  #call: MediaCall | undefined;
  /** Which opening is wanted. */
  #opening: object | undefined;

  /** The first call takes what is reserved; others reserve for themselves. */
  constructor(media: MediaPlane, reservation: Reservation) {
    this.#media = media;
    this.#reservation = reservation;
  }

  /** Rejects when no call can be opened; resolves, too, when it is not wanted any more. */
  async open(spec: CallSpec, listener: CallListener): Promise<void> {
    const opening = {};
    this.#opening = opening;
    const reservation = this.#reservation ?? (await this.#media.reserve(spec.endpoint));
    this.#reservation = undefined;
    if (this.#opening !== opening) return reservation.release();
    const call = await this.#media.open(spec, reservation.id, listener);
    if (this.#opening !== opening) return call.close();
    this.#call = call;
    call.start();
  }

  change(media: WantedMedia): void {
    this.#call?.change(media);
  }

  restart(): void {
    this.#call?.restart();
  }

  /** The certificate of the client that answered; undefined when nothing waited for the answer. */
  async accept(offerId: string, sdp: string): Promise<string | undefined> {
    return this.#call?.accept(offerId, sdp);
  }

  /** Closes the call that is there, and any that is on its way. Idempotent. */
  close(): void {
    this.#opening = undefined;
    this.#call?.close();
    this.#call = undefined;
    this.#reservation?.release();
    this.#reservation = undefined;
  }
}
