import { listen } from './listen.ts';
import type { Kind } from './sdp.ts';

/** How finely the first picture is timed, in milliseconds. */
const LOOK_EVERY_MS = 20;

/**
 * Tells when the first media of each kind came in. A remote track is unmuted by its first RTP packet (webrtc-pc,
 * section 5.3), which is as good as hearing it; a picture needs its whole key frame, so video counts from the first
 * decoded frame: that is when `getSynchronizationSources()` fills (webrtc-pc, section 5.6).
 */
export class FirstMedia {
  readonly #onFirst: (kind: Kind) => void;
  readonly #listening = new Map<RTCRtpReceiver, () => void>();
  readonly #seen = new Set<string>();
  #timer: ReturnType<typeof setInterval> | undefined;

  constructor(onFirst: (kind: Kind) => void) {
    this.#onFirst = onFirst;
  }

  watch(receiver: RTCRtpReceiver): void {
    const { track } = receiver;
    if (this.#listening.has(receiver) || this.#seen.has(track.kind)) return;
    this.#listening.set(
      receiver,
      listen(track, 'unmute', () => this.#look()),
    );
    this.#look();
  }

  close(): void {
    clearInterval(this.#timer);
    for (const end of this.#listening.values()) end();
    this.#listening.clear();
  }

  #look(): void {
    for (const receiver of this.#listening.keys()) {
      const { kind, muted } = receiver.track;
      if (!muted && (kind === 'audio' || hasDecoded(receiver))) this.#first(kind as Kind);
    }
    clearInterval(this.#timer);
    const decoding = [...this.#listening.keys()].some(({ track }) => !track.muted);
    if (decoding) this.#timer = setInterval(() => this.#look(), LOOK_EVERY_MS);
  }

  #first(kind: Kind): void {
    if (this.#seen.has(kind)) return;
    this.#seen.add(kind);
    for (const [receiver, end] of this.#listening) {
      if (receiver.track.kind !== kind) continue;
      end();
      this.#listening.delete(receiver);
    }
    this.#onFirst(kind);
  }
}

/** Where nobody can say (React Native), the first packet has to do. */
const hasDecoded = (receiver: Partial<RTCRtpReceiver>): boolean =>
  (receiver.getSynchronizationSources?.().length ?? 1) > 0;
