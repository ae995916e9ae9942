import type { Logger } from 'pino';
import type { Clock } from '../audio/clock.ts';
import { ULAW_SILENCE } from '../audio/g711.ts';
import { Playout } from '../audio/playout.ts';
import type { StreamTarget } from '../directory/directory.ts';
import type { SoundPort, Speaker } from '../media/media.ts';
import type { EndReason } from '../protocol/codes.ts';
import type { ApplicationState } from '../protocol/messages.ts';
import { isLoopback } from '../shared/loopback.ts';
import { randomText } from '../shared/random.ts';
import { Dialer } from './dialer.ts';
import { ApplicationSocket } from './socket.ts';
import { readFrame, StreamFrames } from './stream-frames.ts';

const FRAME_BYTES = 160;
const LONGEST_WAIT_MS = 10 * 60 * 1000;
/** Keys and messages of the client that wait for a connection. */
const MAX_WAITING = 32;
/** What the application may tell the client in a second; the client's socket has a limit, too. */
const MAX_MESSAGES_PER_SECOND = 50;

const NOT_IN_PLAIN_TEXT = 'ws:// to another machine needs the setting applications.plain_text; use wss://';

export type ApplicationEnd = Extract<EndReason, 'completed' | 'application_unavailable' | 'application_lost'>;

/** What a session hears of the application that answers it. */
export interface ApplicationListener {
  state(state: ApplicationState): void;
  message(content: unknown): void;
  /** Once; nothing of it is left. */
  ended(reason: ApplicationEnd): void;
}

export interface ApplicationCall {
  sessionId: string;
  endpointId: string;
  team: string;
  target: StreamTarget;
  /** What its token was minted with; asked before the first try, and again while that fails. */
  metadata(): Promise<Readonly<Record<string, string>> | undefined>;
}

export interface ApplicationDeps {
  clock: Clock;
  log: Logger;
  /** A fresh token that says which call this is. */
  sign(): string;
  /** Whether `ws` is good enough, to wherever the target is. */
  plainText: boolean;
}

/** The application that answers one call: keeps a connection to it, and brings sound, keys and messages both ways. */
export class Application implements SoundPort {
  readonly #call: ApplicationCall;
  readonly #deps: ApplicationDeps;
  readonly #listener: ApplicationListener;
  readonly #dialer: Dialer;
  readonly #playout: Playout;
  #customParameters: Readonly<Record<string, string>> | undefined;
  #socket: ApplicationSocket | undefined;
  /** Of the connection that is open. */
  #frames: StreamFrames | undefined;
  #speaker: Speaker | undefined;
  readonly #waiting: ((frames: StreamFrames) => string)[] = [];
  #told = { tooMuch: false, tooMany: false };
  #messages = { since: 0, count: 0 };

  constructor(call: ApplicationCall, deps: ApplicationDeps, listener: ApplicationListener) {
    const { clock } = deps;
    const { connectSeconds, reconnectSeconds } = call.target;
    this.#call = call;
    this.#deps = deps;
    this.#listener = listener;
    this.#dialer = new Dialer({
      connectMs: connectSeconds * 1000,
      reconnectMs: reconnectSeconds * 1000,
      dial: (leftMs) => void this.#dial(leftMs),
      listener: {
        state: (state) => listener.state(state),
        ended: (reason) => this.#ended(reason),
        failing: (why) => this.#warn({ why }, 'the application of a call cannot be reached: it is tried again'),
      },
      clock,
    });
    this.#playout = new Playout({
      clock,
      frameBytes: FRAME_BYTES,
      silence: ULAW_SILENCE,
      maxMs: LONGEST_WAIT_MS,
      play: (frame, at, first) => this.#speaker?.(frame, at, first),
      marked: (name) => this.#send((frames) => frames.mark(name)),
    });
  }

  begin(): void {
    this.#dialer.begin();
  }

  heard(frame: Buffer): void {
    this.#send((frames) => frames.media(frame));
  }

  pressed(digit: string): void {
    this.#sendOrWait((frames) => frames.dtmf(digit));
  }

  message(content: unknown): void {
    this.#sendOrWait((frames) => frames.message(content));
  }

  speakTo(speaker: Speaker | undefined): void {
    this.#speaker = speaker;
    if (speaker === undefined) this.#playout.hold();
    else this.#playout.release();
  }

  /** The call is over: tells the application, and leaves nothing. Idempotent. */
  close(): void {
    this.#send((frames) => frames.stop());
    this.#dialer.close();
    this.#disconnect();
    this.#playout.hold();
  }

  #ended(reason: ApplicationEnd): void {
    this.#disconnect();
    this.#playout.hold();
    this.#listener.ended(reason);
  }

  #disconnect(): void {
    this.#socket?.close();
    this.#socket = undefined;
    this.#frames = undefined;
    // The one that comes next knows nothing of it.
    this.#playout.discard();
  }

  async #dial(leftMs: number): Promise<void> {
    const { url } = this.#call.target;
    if (isPlainText(url) && !this.#deps.plainText) return this.#dialer.failed(NOT_IN_PLAIN_TEXT, true);
    try {
      this.#customParameters ??= (await this.#call.metadata()) ?? {};
    } catch {
      return this.#dialer.failed('what its token was minted with cannot be read');
    }
    if (this.#dialer.over) return;
    const socket = new ApplicationSocket(
      url,
      { token: this.#deps.sign(), timeoutMs: Math.ceil(leftMs) },
      {
        opened: () => this.#opened(socket),
        text: (text) => this.#take(text),
        closed: (outcome) => {
          this.#disconnect();
          if (outcome.kind === 'ended') this.#dialer.hungUp();
          else this.#dialer.failed(outcome.why, outcome.kind === 'refused');
        },
      },
    );
    this.#socket = socket;
  }

  #opened(socket: ApplicationSocket): void {
    const { sessionId: callSid, team: accountSid } = this.#call;
    const call = { accountSid, callSid, customParameters: this.#customParameters ?? {} };
    const frames = new StreamFrames(call, `MZ${randomText(16, 'hex')}`);
    this.#frames = frames;
    this.#told = { tooMuch: false, tooMany: false };
    socket.send(frames.connected());
    socket.send(frames.start());
    for (const write of this.#waiting.splice(0)) socket.send(write(frames));
    this.#dialer.connected();
  }

  #take(text: string): void {
    const frame = readFrame(text);
    switch (frame?.event) {
      case undefined:
        return;
      case 'media':
        if (!this.#playout.add(frame.audio)) this.#tellTooMuch();
        return;
      case 'mark':
        if (!this.#playout.mark(frame.name)) this.#tellTooMuch();
        return;
      case 'clear':
        return this.#playout.clear();
      case 'message':
        if (this.#mayTell()) this.#listener.message(frame.content);
        return;
      default:
        return frame satisfies never;
    }
  }

  #send(write: (frames: StreamFrames) => string): void {
    if (this.#frames !== undefined) this.#socket?.send(write(this.#frames));
  }

  #sendOrWait(write: (frames: StreamFrames) => string): void {
    if (this.#frames !== undefined) this.#send(write);
    else if (this.#waiting.length < MAX_WAITING) this.#waiting.push(write);
  }

  #mayTell(): boolean {
    const now = this.#deps.clock.now();
    if (now - this.#messages.since >= 1000) this.#messages = { since: now, count: 0 };
    if (++this.#messages.count <= MAX_MESSAGES_PER_SECOND) return true;
    if (!this.#told.tooMany) this.#warn({}, 'the application of a call sends too many messages: some are dropped');
    this.#told.tooMany = true;
    return false;
  }

  #tellTooMuch(): void {
    if (this.#told.tooMuch) return;
    this.#told.tooMuch = true;
    this.#warn(
      {},
      'more than ten minutes of sound, or a thousand marks, wait to be played: what is too much is dropped',
    );
  }

  /** A query may hold a secret. */
  #warn(fields: object, message: string): void {
    const { sessionId: session_id, endpointId: endpoint_id, target } = this.#call;
    const { origin, pathname } = new URL(target.url);
    this.#deps.log.warn({ session_id, endpoint_id, application: `${origin}${pathname}`, ...fields }, message);
  }
}

const isPlainText = (url: string): boolean => {
  const { protocol, hostname } = new URL(url);
  return protocol === 'ws:' && !isLoopback(hostname);
};
