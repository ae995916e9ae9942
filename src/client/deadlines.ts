import type { CallErrorCode } from '../protocol/codes.ts';
import type { LocalErrorCode } from './errors.ts';

interface Limit {
  seconds: number;
  code: CallErrorCode | LocalErrorCode;
  /** Completes "Waited 10 s in vain for …", and says what to look at. */
  what: string;
}

/**
 * All that a call waits for, in order; it is over when they have run out, whatever happens. Where the server has a
 * deadline for the same (an answer 10 s, live 25 s) it is the shorter one, so that the server's reason is heard first.
 * A person who looks at a prompt for camera or microphone has no deadline: nothing waits for that.
 */
const LIMITS = {
  token: { seconds: 30, code: 'token_unavailable', what: 'getToken to return a call token' },
  // Begins with the socket, and is over before it: which of two failures is told must not be a race.
  certificate: { seconds: 8, code: 'not_supported', what: 'RTCPeerConnection.generateCertificate' },
  socket: {
    seconds: 10,
    code: 'network_error',
    what: 'the WebSocket to open: check the address, and that no firewall drops its packets',
  },
  offer: { seconds: 10, code: 'network_error', what: 'the offer that answers the start: the server is silent' },
  answer: { seconds: 12, code: 'negotiation_failed', what: 'the browser to answer the offer' },
  live: { seconds: 30, code: 'network_error', what: 'live after the answer: the server is silent' },
  // What is silent as long has been left behind, by a change of networks say: the call comes back on another socket.
  reoffer: { seconds: 5, code: 'network_error', what: 'the offer that restart_ice or a change of media asks for' },
  media: { seconds: 35, code: 'network_error', what: 'media to come through again after ICE had lost its way' },
  end: { seconds: 2, code: 'network_error', what: 'the server to say that the call has ended' },
  expiry: { seconds: 5, code: 'network_error', what: 'the server to say that the session has expired' },
} as const satisfies Record<string, Limit>;

export type Wait = keyof typeof LIMITS;

/** `setTimeout` takes no more; longer would be at once. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** The timers of a call's waits. One that runs out is told as the error that ends the call, unless there is another way. */
export class Deadlines {
  readonly #late: (code: Limit['code'], message: string, wait: Wait) => void;
  readonly #timers = new Map<Wait, ReturnType<typeof setTimeout>>();

  constructor(late: (code: Limit['code'], message: string, wait: Wait) => void) {
    this.#late = late;
  }

  /** Waits from now on, or from `afterMs` on when that much has to pass in any case; a wait that runs already goes on. */
  begin(wait: Wait, afterMs = 0): void {
    if (this.#timers.has(wait)) return;
    const { seconds, code, what }: Limit = LIMITS[wait];
    const late = () => {
      this.#timers.delete(wait);
      this.#late(code, `Waited ${seconds} s in vain for ${what}`, wait);
    };
    this.#timers.set(wait, setTimeout(late, Math.min(afterMs + seconds * 1000, LONGEST_TIMER_MS)));
  }

  end(wait: Wait): void {
    clearTimeout(this.#timers.get(wait));
    this.#timers.delete(wait);
  }

  async during<T>(wait: Wait, work: Promise<T>): Promise<T> {
    this.begin(wait);
    try {
      return await work;
    } finally {
      this.end(wait);
    }
  }

  endAll(): void {
    for (const wait of [...this.#timers.keys()]) this.end(wait);
  }
}
