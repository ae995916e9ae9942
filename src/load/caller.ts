import type { Media } from '../peer/index.ts';
import type { StartMessage } from '../protocol/messages.ts';
import type { Backend } from './backend.ts';
import { Call } from './call.ts';
import type { OfferMessage } from './call-socket.ts';
import { type Churn, killsOf } from './churn.ts';
import { Connections } from './connections.ts';
import { faultOf } from './ending.ts';
import { Failure } from './failure.ts';
import type { Outcome, Stage, Step } from './outcome.ts';
import type { Arrival } from './plan.ts';
import { presentOnce } from './presentation.ts';
import { Race } from './race.ts';
import { PATIENCE_MS, pause, within } from './waiting.ts';

/** What all sessions of a run have in common. */
export interface RunOptions {
  urls: readonly string[];
  /** How many clients present each token at once; 1 for no race. */
  clientsPerToken: number;
  /** Whether each token is presented again after its session. */
  reuse: boolean;
  /** How often a session's socket is killed; the client then comes back. */
  churn?: Churn | undefined;
  /** Whether clients follow fresh offers. With it, or with churn, they come back whenever they lose their socket. */
  fresh?: boolean | undefined;
}

export interface CallerDeps {
  options: RunOptions;
  /** One per URL, in the same order. */
  backends: readonly Backend[];
  /** Milliseconds after the start of the run. */
  now(): number;
  /** A number from 0 up to 1. */
  random(): number;
  /** Hears of every stage that is reached, and after how many milliseconds. */
  reached(stage: Stage, ms: number): void;
}

/** A session stops sending this long before its end, so that what is under way still comes back. */
const DRAIN_MS = 100;
/** The first packet is waited for until the session's end, and at least this long. */
const FIRST_PACKET_MS = 5000;
/** A peer that takes longer to close is left behind. */
const CLOSE_WITHIN_MS = 2000;
/** Media that comes back all the time and then not for so long has stopped. */
const SILENCE_MS = 2000;
/** What the store says of a token that had its session; `token_expired` may be said without asking it. */
const REFUSALS: ReadonlySet<string> = new Set(['token_used', 'token_revoked']);
/** The longest that a token can be presented: to be refused after its session for that session, and not for its age. */
const REUSE_TTL_SECONDS = 600;
/** The server says that there is media to come: its sections send. */
const SENDS_MEDIA = /^a=send(recv|only)\r?$/m;
/** What the client sends comes back on the same section, as from an echo. */
const SENDS_BACK = /^a=sendrecv\r?$/m;

/** One simulated session, from its scheduled arrival to what became of it. */
export class Caller {
  readonly #arrival: Arrival;
  readonly #deps: CallerDeps;
  readonly #outcome: Outcome;
  /** What flows. */
  readonly #media: Media;
  readonly #peer: Promise<Connections> | undefined;
  readonly #call: Call;
  readonly #stopped = Promise.withResolvers<void>();
  #stopping = false;
  #aborted = false;
  #race: Race | undefined;
  #raced: Promise<void> | undefined;
  #presentedMs = 0;
  #step: Step = 'mint';
  #tokenId: string | undefined;
  /** When the session is to end. */
  #endsMs = 0;

  constructor(index: number, arrival: Arrival, deps: CallerDeps) {
    this.#arrival = arrival;
    this.#deps = deps;
    this.#outcome = {
      index,
      scheduledMs: arrival.atMs,
      timings: {},
      packets: { sent: 0, received: 0, lost: 0 },
      lateMs: Math.max(deps.now() - arrival.atMs, 0),
    };
    this.#media = arrival.ending === 'unconnected' ? 'none' : arrival.media;
    this.#peer = arrival.ending === 'silence' ? undefined : openMedia(this.#media);
    const { churn, fresh = false } = deps.options;
    const urls = churn || fresh ? deps.options.urls.map((_, offset) => this.#url(offset)) : [];
    this.#call = new Call({ media: this.#peer, now: deps.now, urls, fresh });
  }

  /** Lives the session. What goes wrong is in the outcome; it rejects for a defect of the tester only. */
  async run(): Promise<Outcome> {
    try {
      await this.#live();
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      this.#blame(error.code, error.cause);
    } finally {
      await this.#leave();
    }
    if (this.#deps.options.reuse && !this.#aborted) this.#outcome.reuse ??= 'not_presented';
    return this.#outcome;
  }

  /** Ends the session properly, as soon as it is set up. */
  stop(): void {
    this.#stopping = true;
    this.#stopped.resolve();
  }

  /** Ends it at once, whatever it waits for. */
  abort(): void {
    this.#aborted = true;
    this.#call.fail('interrupted');
    this.#race?.leave();
  }

  async #live(): Promise<void> {
    const { endpointId, media, ending, durationMs } = this.#arrival;
    const wish = {
      endpointId,
      ...(this.#deps.options.reuse && { ttlSeconds: REUSE_TTL_SECONDS }),
      ...(ending === 'expiry' && { maxDurationSeconds: Math.ceil(durationMs / 1000) }),
    };
    const { id, token } = await this.#within(this.#backend.mint(wish));
    this.#tokenId = id;
    this.#mark('mint');
    this.#step = 'socket';
    const { fresh } = this.#deps.options;
    const start: StartMessage = { type: 'start', endpoint_id: endpointId, token, ...(fresh && { fresh }) };
    if (media === 'audio') start.media = { video: 'none' };
    await this.#present(start);
    const offer = await this.#within(this.#call.offered);
    const offeredMs = this.#mark('offer');
    this.#step = 'hold';
    this.#endsMs = (ending === 'expiry' ? offeredMs : this.#arrival.atMs) + durationMs;
    if (this.#peer && this.#media !== 'none') await this.#connect(await this.#peer, offer);
    this.#step = 'hold';
    await this.#hold(SENDS_BACK.test(offer.sdp));
    this.#step = 'end';
    await this.#end(id);
    this.#step = 'race';
    if (this.#raced) await this.#within(this.#raced);
    this.#step = 'reuse';
    if (this.#deps.options.reuse) await this.#presentAgain(start);
  }

  /** Presents the token: with the upgrade, or by several clients at once. */
  async #present(start: StartMessage): Promise<void> {
    const { clientsPerToken } = this.#deps.options;
    this.#presentedMs = this.#deps.now();
    if (clientsPerToken === 1) return this.#call.present(this.#url(), start, () => this.#opened());
    const urls = Array.from({ length: clientsPerToken }, (_, offset) => this.#url(offset));
    this.#race = new Race(urls, (socket, offer) => this.#call.adopt(socket, offer));
    await this.#within(this.#race.present(start, () => this.#opened()));
    this.#raced = this.#judge(this.#race);
  }

  #opened(): void {
    this.#mark('socket');
    this.#step = 'offer';
  }

  async #judge(race: Race): Promise<void> {
    const { winners, oddity } = await race.result();
    // An abort has everyone leave; what was won twice before that counts.
    if (this.#aborted && winners < 2) return;
    this.#outcome.winners = winners;
    if (winners === 0) this.#call.fail(oddity ?? 'no_winner');
    else if (oddity !== undefined) this.#blame(`loser_${oddity}`, undefined, 'race');
  }

  /** Waits for ICE and DTLS and, where the offer sends media to the client, for the first packet. */
  async #connect(peer: Connections, { sdp }: OfferMessage): Promise<void> {
    void peer.firstPacket.then(() => this.#mark('first_packet'));
    this.#step = 'connected';
    await this.#within(Promise.race([peer.connected, this.#call.ended]));
    if (this.#call.end) return;
    const latestMs = Math.max(this.#mark('connected') + FIRST_PACKET_MS, this.#endsMs);
    if (!SENDS_MEDIA.test(sdp)) return;
    this.#step = 'first_packet';
    await this.#pauseUntil(latestMs, peer.firstPacket);
    const cutShort = this.#stopping || this.#call.end !== undefined;
    if (this.#outcome.timings.first_packet === undefined && !cutShort) this.#blame('no_media');
  }

  async #hold(comesBack: boolean): Promise<void> {
    await this.#beKilled();
    await this.#pauseUntil(this.#endsMs - DRAIN_MS);
    const peer = await this.#peer;
    const flowed = this.#outcome.timings.first_packet !== undefined;
    if (peer && comesBack && flowed && !this.#call.end && peer.silentMs > SILENCE_MS) this.#blame('media_stopped');
    peer?.stopSending();
    await this.#pauseUntil(this.#endsMs);
  }

  /** Kills the socket at random moments of what is left, and comes back each time. */
  async #beKilled(): Promise<void> {
    const { churn } = this.#deps.options;
    if (!churn) return;
    for (const atMs of killsOf(churn, this.#deps.random, this.#deps.now(), this.#endsMs)) {
      await this.#pauseUntil(atMs);
      if (this.#stopping || this.#call.end) return;
      this.#call.kill();
      await this.#beBack();
    }
  }

  /** However long it takes, which the client decides. @throws {Failure} that of the call */
  #beBack(): Promise<unknown> {
    return Promise.race([this.#call.back, this.#call.failed]);
  }

  async #end(tokenId: string): Promise<void> {
    const call = this.#call;
    const { ending } = this.#arrival;
    await this.#beBack();
    const unasked = call.end !== undefined;
    if (this.#stopping) this.#endsMs = Math.min(this.#endsMs, this.#deps.now());
    if (ending === 'loss' && !unasked && !this.#stopping) return call.lose();
    if (!unasked) await this.#askForEnd(tokenId);
    while (!call.end) {
      await this.#beBack();
      await this.#within(Promise.race([call.ended, call.away]));
    }
    this.#tellEnd(call.end!, unasked);
  }

  async #askForEnd(tokenId: string): Promise<void> {
    const { ending } = this.#arrival;
    if (!this.#stopping && ending === 'revoke') return this.#within(this.#backend.revoke(tokenId));
    if (this.#stopping || ending !== 'expiry') this.#call.hangUp();
  }

  #tellEnd({ reason, atMs }: { reason: string; atMs: number }, unasked: boolean): void {
    const { ending: planned, durationMs } = this.#arrival;
    const interrupted = this.#stopping;
    this.#outcome.endReason = reason;
    this.#outcome.endedMs = atMs;
    const lastedMs = atMs - this.#presentedMs;
    const fault = faultOf({ reason, planned, interrupted, unasked, lastedMs, durationMs });
    if (fault !== undefined) this.#blame(fault);
    else if (planned !== 'silence' && planned !== 'unconnected') this.#note('end', Math.max(atMs - this.#endsMs, 0));
  }

  /** Presents the token once more, to the next URL. */
  async #presentAgain(start: StartMessage): Promise<void> {
    const verdict = await this.#within(presentOnce(this.#url(1), start));
    if (verdict === 'offered') this.#outcome.reuse = 'taken';
    else if (REFUSALS.has(verdict)) this.#outcome.reuse = 'refused';
    else this.#blame(`reuse_${verdict}`);
  }

  async #leave(): Promise<void> {
    this.#call.close();
    // Even if its session failed, a race is judged; an abort has everyone leave it.
    await this.#raced;
    this.#race?.leave();
    const peer = await this.#peer?.catch(() => undefined);
    if (peer) this.#outcome.packets = peer.packets();
    this.#noteLosses();
    if (this.#outcome.timings.offer !== undefined) this.#outcome.endedMs ??= this.#deps.now();
    if (peer) await pause(CLOSE_WITHIN_MS, peer.close());
  }

  #noteLosses(): void {
    const { all, rehomed, rehomedMs } = this.#call.losses;
    if (all.length > 0) this.#outcome.losses = all;
    if (rehomed > 0) this.#outcome.rehomed = { times: rehomed, liveMs: rehomedMs };
  }

  get #backend(): Backend {
    const { backends } = this.#deps;
    return backends[this.#outcome.index % backends.length]!;
  }

  /** The URL of the session, or one so many after it. */
  #url(offset = 0): string {
    const { urls } = this.#deps.options;
    return urls[(this.#outcome.index + offset) % urls.length]!;
  }

  /** Notes that a stage is reached, for the first time; milliseconds after the start of the run. */
  #mark(stage: Stage): number {
    const now = this.#deps.now();
    if (this.#outcome.timings[stage] === undefined) this.#note(stage, now - this.#arrival.atMs);
    return now;
  }

  #note(stage: Stage, ms: number): void {
    this.#outcome.timings[stage] = ms;
    this.#deps.reached(stage, ms);
  }

  /** What went wrong first is what is told. */
  #blame(code: string, cause?: string, step: Step = this.#step): void {
    if (this.#outcome.error !== undefined) return;
    const { sessionId } = this.#call;
    this.#outcome.error = code;
    this.#outcome.failed = {
      atMs: this.#deps.now(),
      step,
      ...(cause !== undefined && { cause }),
      endpointId: this.#arrival.endpointId,
      url: this.#url(),
      ...(this.#tokenId !== undefined && { tokenId: this.#tokenId }),
      ...(sessionId !== undefined && { sessionId }),
    };
  }

  /** @throws {Failure} `timeout`, or that of the call */
  #within<T>(promise: Promise<T>): Promise<T> {
    return within(PATIENCE_MS, Promise.race([promise, this.#call.failed]));
  }

  /** Waits for a moment of the run; a stop, the end of the session or one more thing cut it short. @throws {Failure} */
  #pauseUntil(ms: number, ...also: Promise<unknown>[]): Promise<void> {
    return pause(ms - this.#deps.now(), this.#stopped.promise, this.#call.ended, this.#call.failed, ...also);
  }
}

function openMedia(media: Media): Promise<Connections> {
  const opened = Connections.open(media);
  // It is looked at when the offer is there.
  void Promise.allSettled([opened]);
  return opened;
}
