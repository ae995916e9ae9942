import type { Connections } from './connections.ts';
import type { Deadlines } from './deadlines.ts';
import { MediaFlow } from './media-flow.ts';
import type { Requests } from './requests.ts';

export interface RecoveryListener {
  state(state: 'answering' | 'reconnecting'): void;
  /** Whether media comes in meanwhile. */
  media(flows: boolean): void;
}

/** From the loss of the server, or of the media that it had for us, until the call is live again. */
export class Recovery {
  readonly #connections: Pick<Connections, 'reachable' | 'received'>;
  readonly #requests: Requests;
  readonly #deadlines: Deadlines;
  readonly #listener: RecoveryListener;
  readonly #flow: MediaFlow;
  #wasLive = false;

  constructor(
    connections: Pick<Connections, 'reachable' | 'received'>,
    requests: Requests,
    deadlines: Deadlines,
    listener: RecoveryListener,
  ) {
    this.#connections = connections;
    this.#requests = requests;
    this.#deadlines = deadlines;
    this.#listener = listener;
    this.#flow = new MediaFlow({
      received: () => connections.received(),
      changed: (flows) => listener.media(flows),
    });
  }

  /** Media goes on by itself; what is waited for now is the server. */
  socketLost(): void {
    for (const wait of ['live', 'media'] as const) this.#deadlines.end(wait);
    this.#requests.onLost();
    this.#begin(this.#connections.reachable);
  }

  /** The server is heard again, and says `live` if the call is. */
  resumed(): void {
    this.#deadlines.begin('live');
    if (!this.#wasLive) {
      this.#flow.stop();
      this.#listener.state('answering');
    }
    this.#requests.onResumed(this.#wasLive && !this.#connections.reachable);
  }

  /** The server has other media for us; what flowed so far ends now, or soon. */
  mediaLost(): void {
    for (const wait of ['live', 'media'] as const) this.#deadlines.end(wait);
    this.#deadlines.begin('live');
    if (this.#wasLive) this.#begin(false);
  }

  live(): void {
    this.#wasLive = true;
    this.#flow.stop();
  }

  close(): void {
    this.#flow.stop();
  }

  #begin(mediaFlows: boolean): void {
    this.#listener.state('reconnecting');
    this.#flow.watch(mediaFlows);
  }
}
