import type { MediaDirection, WantedMedia } from '../protocol/messages.ts';
import type { Deadlines } from './deadlines.ts';
import type { Kind } from './sdp.ts';
import type { Signaling } from './signaling.ts';

/**
 * What a call asks its server for, other media or new ICE credentials; the answer is an offer. What was perhaps not heard is
 * asked again when the server is back.
 */
export class Requests {
  readonly #signaling: Pick<Signaling, 'send' | 'reconnecting'>;
  readonly #deadlines: Deadlines;
  #wanted: WantedMedia;
  /** Wants that the server does not know of. */
  #untold = false;
  /** Asked for, and not offered so far. */
  #asked = { media: false, restart: false };
  #answered = false;

  constructor(wanted: WantedMedia, signaling: Pick<Signaling, 'send' | 'reconnecting'>, deadlines: Deadlines) {
    this.#wanted = wanted;
    this.#signaling = signaling;
    this.#deadlines = deadlines;
  }

  direction(kind: Kind): MediaDirection | undefined {
    return this.#wanted[kind];
  }

  sends(kind: Kind): boolean {
    return ['sendrecv', 'sendonly'].includes(this.#wanted[kind] ?? '');
  }

  /** For the start, with which the server knows. */
  tell(): WantedMedia {
    this.#untold = false;
    return this.#wanted;
  }

  /** Kinds that are not named stay as they are. */
  setMedia(media: WantedMedia): void {
    this.#wanted = { ...this.#wanted, ...media };
    this.#untold = true;
    this.#askMedia();
  }

  restartIce(): void {
    // One at a time: the server keeps only one old ICE credential while its restart offer is unanswered.
    if (this.#asked.restart || !this.#answered) return;
    this.#asked.restart = true;
    if (this.#signaling.reconnecting) return;
    this.#signaling.send({ type: 'restart_ice' });
    this.#deadlines.begin('reoffer');
  }

  /** An offer has come; a fresh one needs no new credentials. */
  onOffer(fresh: boolean): void {
    this.#deadlines.end('reoffer');
    this.#asked.media = false;
    if (fresh) this.#asked.restart = false;
  }

  onAnswer(): void {
    this.#answered = true;
    this.#asked.restart = false;
    this.#askMedia();
  }

  onLost(): void {
    this.#deadlines.end('reoffer');
    if (this.#asked.media) this.#untold = true;
  }

  onResumed(restart: boolean): void {
    this.#askMedia();
    if (!this.#asked.restart && !restart) return;
    this.#asked.restart = false;
    this.restartIce();
  }

  #askMedia(): void {
    if (!this.#untold || !this.#answered || this.#signaling.reconnecting) return;
    this.#untold = false;
    this.#asked.media = true;
    this.#signaling.send({ type: 'media', media: this.#wanted });
    this.#deadlines.begin('reoffer');
  }
}
