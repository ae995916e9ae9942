import type { Consumer, Producer } from 'mediasoup/types';
import type { MediaDirection } from '../../protocol/messages.ts';
import { type AnsweredSection, answeredCapabilities, findsByMid } from '../../sdp/answered-section.ts';
import { type Direction, isRtx, sends } from '../../sdp/format.ts';
import type { Target, TargetCall } from './target.ts';

const DIRECTIONS = { sendrecv: 'sendrecv', sendonly: 'recvonly', recvonly: 'sendonly', none: undefined } as const;

interface Echo {
  section: AnsweredSection;
  producer: Producer;
  consumer?: Consumer | undefined;
}

/**
 * Gives the caller its own media back, on the section that it comes in on, from the moment at which the client is reached:
 * many a call never gets there, and the DTLS handshake leaves the time.
 */
export class EchoTarget implements Target {
  readonly cname: string;
  readonly #call: TargetCall;
  readonly #echoes = new Map<string, Echo>();
  #reached = false;

  constructor(call: TargetCall, cname: string) {
    this.#call = call;
    this.cname = cname;
  }

  direction(wanted: MediaDirection): Direction | undefined {
    return DIRECTIONS[wanted];
  }

  async prepare(): Promise<void> {}

  async answeredOwn(section: AnsweredSection, producer: Producer | undefined): Promise<void> {
    const { mid, direction } = section;
    const wanted = sends(direction) ? producer : undefined;
    const old = this.#echoes.get(mid);
    if (old !== undefined && old.producer === wanted) return this.#resume(old);
    this.#echoes.delete(mid);
    // The worker has closed the consumer of a closed producer itself.
    if (old?.producer.closed === false) old.consumer?.close();
    if (wanted === undefined) return;
    const echo = { section, producer: wanted };
    this.#echoes.set(mid, echo);
    if (this.#reached) await this.#consumeAll([echo]);
  }

  async reached(): Promise<void> {
    this.#reached = true;
    await this.#consumeAll([...this.#echoes.values()]);
  }

  async answeredRemote(): Promise<void> {}

  connected(): void {}

  tracks(): undefined {
    return undefined;
  }

  close(): void {}

  async #consumeAll(echoes: readonly Echo[]): Promise<void> {
    await Promise.all(echoes.map((echo) => this.#consume(echo)));
    if (echoes.some(({ consumer }) => consumer?.paused)) this.#call.renegotiate();
  }

  /**
   * The offer could not declare the SSRC that this makes; the MID that its packets carry leads them to the section.
   * Firefox does not pair an undeclared RTX stream with its media, so there is none: lost packets are sent again as
   * they were. `enableRtx: false` would turn that off too (mediasoup then takes NACK away). The worker asks for a key
   * frame itself when the transport connects.
   */
  async #consume(echo: Echo): Promise<void> {
    const { section, producer } = echo;
    const codecs = section.codecs.filter((codec) => !isRtx(codec));
    const rtpCapabilities = answeredCapabilities({ ...section, codecs });
    const options = { producerId: producer.id, rtpCapabilities, mid: section.mid, paused: this.#mustDeclare() };
    const consumer = await this.#call.transport.consume(options).catch((error: unknown) => {
      if (this.#isWanted(echo)) throw error;
      return undefined;
    });
    if (!this.#isWanted(echo)) return consumer?.close();
    echo.consumer = consumer;
    if (consumer?.paused) this.#declare(echo, consumer);
  }

  #isWanted(echo: Echo): boolean {
    return !this.#call.transport.closed && this.#echoes.get(echo.section.mid) === echo;
  }

  /** Whether the client must be told which SSRC is on which section. Where one comes back, all that comes in is of that. */
  #mustDeclare(): boolean {
    const sections = this.#call.negotiation.answeredOwn.filter(({ direction }) => sends(direction));
    return sections.length > 1 && !sections.every(findsByMid);
  }

  #declare({ section, producer }: Echo, { rtpParameters: { encodings = [] } }: Consumer): void {
    const [{ ssrc } = {}] = encodings;
    if (ssrc === undefined) throw new Error('a consumer without an SSRC');
    const { cname } = this;
    this.#call.negotiation.declareOwn(section, { stream: cname, track: producer.id, cname, ssrc });
  }

  /** Asks for a key frame, too. */
  async #resume(echo: Echo): Promise<void> {
    if (!echo.consumer?.paused) return;
    await echo.consumer.resume().catch((error: unknown) => {
      if (this.#isWanted(echo)) throw error;
    });
  }
}
