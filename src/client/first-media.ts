import type { Kind } from './sdp.ts';

/** How finely the first frame is timed, in milliseconds. */
const LOOK_EVERY_MS = 20;

/**
 * Tells when the first frame of each kind was played. `getSynchronizationSources()` fills when a frame is delivered to
 * the receiver's track (webrtc-extensions, RTCRtpContributingSource.timestamp), so it means decoded media and not just
 * packets; a receiver is only looked at once its track is unmuted, and never again after the first frame.
 */
export class FirstMedia {
  readonly #onFirst: (kind: Kind) => void;
  readonly #waiting = new Map<RTCRtpReceiver, AbortController>();
  readonly #seen = new Set<string>();
  #timer: ReturnType<typeof setInterval> | undefined;

  constructor(onFirst: (kind: Kind) => void) {
    this.#onFirst = onFirst;
  }

  watch(receiver: RTCRtpReceiver): void {
    if (this.#waiting.has(receiver) || this.#seen.has(receiver.track.kind)) return;
    const listening = new AbortController();
    this.#waiting.set(receiver, listening);
    receiver.track.addEventListener('unmute', () => this.#look(), { signal: listening.signal });
    this.#look();
  }

  close(): void {
    clearInterval(this.#timer);
    for (const listening of this.#waiting.values()) listening.abort();
    this.#waiting.clear();
  }

  #look(): void {
    for (const receiver of this.#waiting.keys()) {
      if (!receiver.track.muted && receiver.getSynchronizationSources().length > 0)
        this.#first(receiver.track.kind as Kind);
    }
    const flowing = [...this.#waiting.keys()].some(({ track }) => !track.muted);
    if (flowing) this.#timer ??= setInterval(() => this.#look(), LOOK_EVERY_MS);
    else this.#timer = void clearInterval(this.#timer);
  }

  #first(kind: Kind): void {
    if (this.#seen.has(kind)) return;
    this.#seen.add(kind);
    for (const [receiver, listening] of this.#waiting) {
      if (receiver.track.kind !== kind) continue;
      listening.abort();
      this.#waiting.delete(receiver);
    }
    this.#onFirst(kind);
  }
}
