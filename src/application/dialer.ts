import type { Clock } from '../audio/clock.ts';
import type { ApplicationState } from '../protocol/messages.ts';

const FIRST_RETRY_MS = 250;
const LAST_RETRY_MS = 4000;
/** The longest that one try may take. */
const TRY_MS = 5000;
/** A connection that lasts so long has nothing to do with the failures before it. */
const STEADY_MS = 5000;

export interface DialerOptions {
  clock: Clock;
  /** How long the first connection may take, and each that replaces one that broke. */
  connectMs: number;
  reconnectMs: number;
  /** Makes a try, which may take so long and then tells how it went. */
  dial(leftMs: number): void;
  listener: {
    state(state: ApplicationState): void;
    ended(reason: 'completed' | 'application_unavailable' | 'application_lost'): void;
    /** Once for each time that connections fail. */
    failing(why: string): void;
  };
}

/** Decides when an application is dialled, and when it is given up. */
export class Dialer {
  readonly #options: DialerOptions;
  #isConnected = false;
  #everConnected = false;
  /** Until when tries are made; undefined when there is nothing to make up for. */
  #until: number | undefined;
  #delayMs = FIRST_RETRY_MS;
  #cancel = (): void => {};
  #over = false;

  constructor(options: DialerOptions) {
    this.#options = options;
  }

  get over(): boolean {
    return this.#over;
  }

  begin(): void {
    const { clock, connectMs, listener } = this.#options;
    this.#until = clock.now() + connectMs;
    listener.state('connecting');
    this.#dial();
  }

  connected(): void {
    this.#isConnected = true;
    this.#everConnected = true;
    this.#after(STEADY_MS, () => {
      this.#until = undefined;
      this.#delayMs = FIRST_RETRY_MS;
    });
    this.#options.listener.state('connected');
  }

  /** A try failed or a connection broke; a refusal is not tried again. */
  failed(why: string, refused = false): void {
    if (this.#over) return;
    const { clock, reconnectMs, listener } = this.#options;
    const wasConnected = this.#isConnected;
    this.#isConnected = false;
    if (this.#delayMs === FIRST_RETRY_MS || refused) listener.failing(why);
    const now = clock.now();
    if (wasConnected) this.#until ??= now + reconnectMs;
    const leftMs = this.#until! - now;
    if (refused || leftMs <= 0) return this.#give();
    if (wasConnected) listener.state('reconnecting');
    const delayMs = this.#delayMs;
    this.#delayMs = Math.min(delayMs * 2, LAST_RETRY_MS);
    this.#after(Math.min(delayMs, leftMs), () => this.#dial());
  }

  /** The application ended the call. */
  hungUp(): void {
    this.#end('completed');
  }

  close(): void {
    this.#over = true;
    this.#cancel();
  }

  #dial(): void {
    const leftMs = this.#until! - this.#options.clock.now();
    if (leftMs <= 0) return this.#give();
    this.#options.dial(Math.min(leftMs, TRY_MS));
  }

  #give(): void {
    this.#end(this.#everConnected ? 'application_lost' : 'application_unavailable');
  }

  #end(reason: Parameters<DialerOptions['listener']['ended']>[0]): void {
    if (this.#over) return;
    this.close();
    this.#options.listener.ended(reason);
  }

  #after(ms: number, due: () => void): void {
    this.#cancel();
    this.#cancel = this.#options.clock.after(ms, due);
  }
}
