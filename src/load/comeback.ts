import type { ResumeMessage, ServerMessage } from '../protocol/messages.ts';
import { CallSocket } from './call-socket.ts';
import { pause } from './waiting.ts';

export type ResumedMessage = Extract<ServerMessage, { type: 'resumed' }>;

/** A try without an answer is given up. */
const TRY_MS = 4000;
const FIRST_PAUSE_MS = 250;
const LAST_PAUSE_MS = 4000;
/** A session may still be there so long after its time of grace: its node may just have died. */
const BEYOND_GRACE_MS = 30_000;

/** What may be over soon. All else that a server says is its last word. */
const PASSING = /^(?:unavailable|at_capacity|rate_limited|unreachable|timeout|socket_closed_\d+|http_5\d\d)$/;

export const isPassing = (code: string): boolean => PASSING.test(code);

export interface ComebackOptions {
  /** Where callgate answers, in the order in which it is tried. */
  urls: readonly string[];
  message: ResumeMessage;
  graceMs: number;
  /** Called in the same turn in which the session was resumed, so that whoever takes the socket over misses no message. */
  resumed(socket: CallSocket, message: ResumedMessage): void;
}

/**
 * A client that lost its socket and resumes its session: all addresses are tried one after the other, and again after growing
 * pauses, until the session is resumed, or gone, or its time is over.
 */
export class Comeback {
  readonly #options: ComebackOptions;
  readonly #left = Promise.withResolvers<void>();
  #gone = false;
  #socket: CallSocket | undefined;

  constructor(options: ComebackOptions) {
    this.#options = options;
  }

  /** Undefined once it is resumed, or the code that it failed with. Never rejects. */
  async run(): Promise<string | undefined> {
    const { urls, graceMs } = this.#options;
    const until = performance.now() + graceMs + BEYOND_GRACE_MS;
    for (let tries = 0; ; tries++) {
      const code = await this.#try(urls[tries % urls.length]!);
      if (code === undefined || !isPassing(code) || performance.now() >= until) return code;
      await pause(pauseAfter(tries, urls.length), this.#left.promise);
      if (this.#gone) return 'interrupted';
    }
  }

  leave(): void {
    this.#gone = true;
    this.#left.resolve();
    this.#socket?.kill();
  }

  async #try(url: string): Promise<string | undefined> {
    const verdict = Promise.withResolvers<string | undefined>();
    const timer = setTimeout(() => verdict.resolve('timeout'), TRY_MS);
    const socket = new CallSocket(
      url,
      {
        said: (message) => {
          if (message.type === 'error') verdict.resolve(message.code);
          if (message.type !== 'resumed') return;
          verdict.resolve(undefined);
          this.#options.resumed(socket, message);
        },
        closed: (code) => verdict.resolve(code),
      },
      this.#options.message,
    );
    this.#socket = socket;
    const code = await Promise.race([verdict.promise, this.#left.promise.then(() => 'interrupted')]);
    clearTimeout(timer);
    if (code !== undefined) socket.kill();
    return code;
  }
}

/** None before each address of a round was tried; half of it is random, so that clients do not come back in step. */
function pauseAfter(tries: number, urls: number): number {
  if ((tries + 1) % urls !== 0) return 0;
  const round = (tries + 1) / urls - 1;
  return Math.min(FIRST_PAUSE_MS * 2 ** round, LAST_PAUSE_MS) * (0.5 + Math.random() / 2);
}
